//! A connection in a transaction of its own, in which whole tables are read or written.

use pinrail_domain::{PublicKeyRecord, ServiceId};
use pinrail_spec::Timestamp;
use serde_json::json;

use super::queries::audit::{self, Deed};
use super::queries::{check, clock_repair, service, tokens, transfer};
use super::{Conn, session};
use crate::clock_repair::Repaired;
use crate::error::{TxError, TxResult};
use crate::rows::{EachTable, Row, ServiceRow, Stored, each_table};
use crate::transfer::{Arrival, Arrived, Mover, TransferError};

/// A transaction: the snapshot that is read, or the load that is to be kept as a whole.
pub(crate) struct Session {
    pub(in super::super) conn: Conn,
    /// What the database is called, for people.
    pub(in super::super) database: String,
}

impl Session {
    /// What the database is called.
    pub(crate) fn name(&self) -> &str {
        &self.database
    }

    /// How many rows a table has.
    pub(crate) async fn count<R: Row>(&mut self) -> Result<u64, TransferError> {
        let counted = <R as Stored<Conn>>::count(&mut self.conn).await;
        let counted = counted.map_err(|error| self.failed(error))?;
        Ok(u64::try_from(counted).unwrap_or(0))
    }

    /// The rows after `last`.
    pub(crate) async fn page<R: Row>(&mut self, last: Option<&R>) -> Result<Vec<R>, TransferError> {
        let page = <R as Stored<Conn>>::page(&mut self.conn, last).await;
        page.map_err(|error| self.failed(error))
    }

    /// Add rows as they are.
    pub(crate) async fn put<R: Row>(&mut self, rows: &[R]) -> Result<(), TransferError> {
        let added = <R as Stored<Conn>>::insert(&mut self.conn, rows).await;
        added.map_err(|error| self.failed(error))
    }

    /// The service's id, and the database's time; `system_time` is the machine's.
    pub(crate) async fn describe(&mut self, system_time: Timestamp) -> Result<(ServiceId, Timestamp), TransferError> {
        let described = async |conn: &mut Conn| -> TxResult<_> {
            Ok((service::service_id(conn).await?, session::now(conn, system_time).await?))
        };
        described(&mut self.conn).await.map_err(|failed| self.failed(failed))
    }

    /// The public halves of the signing keys.
    pub(crate) async fn list_keys(&mut self) -> Result<Vec<PublicKeyRecord>, TransferError> {
        let known = tokens::list_keys(&mut self.conn).await;
        known.map_err(|failed| self.failed(failed))
    }

    /// Check that no table has rows, and make room for the service's row, which each migrated database has.
    pub(crate) async fn make_room(&mut self) -> Result<(), TransferError> {
        each_table(&mut Empty(self)).await?;
        let removed = transfer::remove_service(&mut self.conn).await;
        removed.map_err(|failed| self.failed(failed))
    }

    /// Make true of what was loaded what it has to be here, and hold its counters against what they count. The time
    /// is never before `reached`, that of where it came from.
    pub(crate) async fn arrive(
        &mut self,
        arrival: Arrival,
        mover: Mover<'_>,
        reached: Timestamp,
        system_time: Timestamp,
    ) -> Result<Arrived, TransferError> {
        let arrived = arrive(&mut self.conn, arrival, mover, reached, system_time).await;
        arrived.map_err(|failed| self.failed(failed))
    }

    /// Bring what lies in the future back to now.
    pub(crate) async fn bring_back(&mut self, by: &str, system_time: Timestamp) -> Result<Repaired, TransferError> {
        let bring = async |conn: &mut Conn| -> TxResult<Repaired> {
            let now = session::true_now(conn, system_time).await?;
            clock_repair::bring_back(conn, by, now).await
        };
        bring(&mut self.conn).await.map_err(|failed| self.failed(failed))
    }

    pub(in super::super) fn failed(&self, failed: impl Into<TxError>) -> TransferError {
        TransferError::Failed { database: self.database.clone(), error: failed.into().into() }
    }
}

async fn arrive(
    conn: &mut Conn,
    arrival: Arrival,
    mover: Mover<'_>,
    reached: Timestamp,
    system_time: Timestamp,
) -> TxResult<Arrived> {
    let now = session::now(conn, system_time).await?.max(reached);
    session::loaded(conn).await?;
    transfer::set_clock(conn, now).await?;
    transfer::end_all_leases(conn).await?;
    let mut requeued = 0;
    if arrival == Arrival::Restored {
        requeued = transfer::requeue_pinned(conn, now).await?;
        transfer::raise_epochs(conn, now).await?;
    }
    let action = match arrival {
        Arrival::Copied => "database copy",
        Arrival::Restored => "restore",
    };
    let (by, subject) = (mover.by, mover.from.to_owned());
    audit::note(conn, Deed { by, action, subject, account: None, details: json!({}) }, now).await?;
    Ok(Arrived { requeued, differences: check::check_counters(conn).await? })
}

/// Checks that tables are empty.
struct Empty<'a>(&'a mut Session);

impl EachTable for Empty<'_> {
    async fn table<R: Row>(&mut self) -> Result<(), TransferError> {
        let rows = self.0.count::<R>().await?;
        if rows == 0 || R::TABLE == ServiceRow::TABLE {
            return Ok(());
        }
        Err(TransferError::NotEmpty { database: self.0.database.clone(), table: R::TABLE, rows })
    }
}
