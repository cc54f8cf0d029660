//! Whole databases, moved: copied to another one, backed up to a file while they are in use, restored from it.
//!
//! Each is the same walk over all tables, page by page, from where rows are read in one snapshot to where they are
//! written in one transaction; `rows` describes the tables, once. So a backup of one kind of database is restored into
//! the other, and a table that is added to the schema and not to the description does not go unnoticed: a test
//! compares the two.

mod archive;
mod databases;
mod error;
mod moving;

use std::io::Write;

use pinrail_domain::PublicKeyRecord;
use pinrail_spec::Timestamp;

pub use archive::{Backup, KeyFile, Manifest, TableManifest};
pub use error::TransferError;
pub use moving::{Moved, Tell};

use crate::rows::{EachTable, Row, each_table};
use crate::{CounterMismatch, Database};
use archive::Writing;
pub(crate) use databases::Session;
use moving::Move;

/// Who else may use a database while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Everybody.
    Welcome,
    /// Nobody: what they write would be left behind.
    Refused,
}

/// Who moves a database and where it comes from, for the audit log of the one that is filled.
#[derive(Debug, Clone, Copy)]
pub struct Mover<'a> {
    /// Who does it.
    pub by: &'a str,
    /// The database or the backup that it comes from.
    pub from: &'a str,
}

/// What is made of that which was loaded, before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It goes on as it was.
    Copied,
    /// It may be older than what the nodes hold: pinned roots are queued to be verified.
    Restored,
}

/// What became of that which was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Roots that were pinned and are queued now.
    pub requeued: u64,
    /// Counters that are not what they count.
    pub differences: Vec<CounterMismatch>,
}

/// Copy the whole of one database to another one that is empty, of whatever kinds; no program may be connected to
/// either. `system_time` is the machine's.
///
/// Leases are not copied: who holds one knows the database that it was taken from.
pub async fn copy(
    from: &Database,
    to: &Database,
    by: &str,
    system_time: Timestamp,
    tell: Tell<'_>,
) -> Result<(), TransferError> {
    if from.is_same(to) {
        return Err(TransferError::Same(from.to_string()));
    }
    let mut source = Session::snapshot(from, Others::Refused).await?;
    let (_, reached) = source.describe(system_time).await?;
    let mut target = Session::load(to).await?;
    each_table(&mut Move { from: &mut source, to: &mut target, tell }).await?;
    let arrived = target.arrive(Arrival::Copied, Mover { by, from: &from.to_string() }, reached, system_time).await?;
    if !arrived.differences.is_empty() {
        let (database, differences) = (from.to_string(), arrived.differences);
        return Err(TransferError::CountersDiffer { database, differences });
    }
    target.commit().await
}

/// Write one snapshot of a database, which may be in use, with the private keys to `to`. `keys` is asked once the
/// snapshot stands, with the public halves in it, so that no private half is missing that is there.
pub async fn back_up<E: From<TransferError>>(
    from: &Database,
    keys: impl FnOnce(&[PublicKeyRecord]) -> Result<Vec<KeyFile>, E>,
    to: impl Write,
    system_time: Timestamp,
    tell: Tell<'_>,
) -> Result<Manifest, E> {
    let mut source = Session::snapshot(from, Others::Welcome).await?;
    let (service, created) = source.describe(system_time).await?;
    let keys = keys(&source.list_keys().await?)?;
    let ids = keys.iter().map(|key| key.id).collect();
    let manifest = Manifest::of(&mut source, service, created, ids).await?;
    let mut writing = Writing::begin(to, &manifest, &keys)?;
    each_table(&mut Move { from: &mut source, to: &mut writing, tell }).await?;
    writing.end().and_then(|mut to| to.flush().map_err(|error| TransferError::File { doing: "written", error }))?;
    Ok(manifest)
}

/// A database that is about to be filled from a backup: it is empty, and nobody else uses it.
pub struct Restoring {
    target: Session,
}

impl Restoring {
    /// Migrate a database, and begin if it is empty.
    pub async fn begin(to: &Database) -> Result<Self, TransferError> {
        Ok(Self { target: Session::load(to).await? })
    }

    /// Fill it with all that the backup holds, and keep that.
    ///
    /// The backup may be older than what the IPFS nodes hold and have released, so every root that it calls pinned is
    /// queued, to be verified where its blocks still are and fetched where they are not, and every epoch is raised
    /// above those that nodes can have been told since. Counters that were wrong in it are told, not refused: whoever
    /// restores has nothing better.
    pub async fn fill(
        mut self,
        mut backup: Backup,
        mover: Mover<'_>,
        system_time: Timestamp,
        tell: Tell<'_>,
    ) -> Result<Arrived, TransferError> {
        each_table(&mut Move { from: &mut backup, to: &mut self.target, tell }).await?;
        let arrived = self.target.arrive(Arrival::Restored, mover, backup.manifest().created, system_time).await?;
        self.target.commit().await?;
        Ok(arrived)
    }
}

/// The names of the tables that are moved.
pub async fn tables() -> Result<Vec<&'static str>, TransferError> {
    struct Names(Vec<&'static str>);

    impl EachTable for Names {
        async fn table<R: Row>(&mut self) -> Result<(), TransferError> {
            self.0.push(R::TABLE);
            Ok(())
        }
    }

    let mut names = Names(Vec::new());
    each_table(&mut names).await?;
    Ok(names.0)
}
