//! Whole tables of a SQLite database: the snapshot that is read, and the transaction that fills an empty one.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use pinrail_spec::Timestamp;

use super::connection::{open_alone, wrap};
use super::open::{connect_to_read, told};
use super::trait_impls::Session;
use super::{Conn, clock};
use crate::TimeSource;
use crate::error::TxResult;
use crate::transfer::{Others, TransferError};

/// Add rows one after another: each finds its statement prepared.
macro_rules! insert_all {
    ($table:expr, $rows:expr, $conn:expr) => {
        for row in $rows {
            diesel::insert_into($table).values(row).execute($conn).await?;
        }
    };
}
pub(super) use insert_all;

impl Session {
    /// Begin to read one snapshot.
    pub(crate) fn snapshot(path: &Path, others: Others) -> Result<Self, TransferError> {
        let connection = match others {
            Others::Welcome => connect_to_read(path)?,
            Others::Refused => open_alone(path).map_err(|error| told(path, &error.to_string()))?,
        };
        let mut conn = wrap(connection, TimeSource::Database);
        conn.begin().map_err(|error| told(path, &error.to_string()))?;
        Ok(Self { conn, database: path.display().to_string() })
    }

    /// Begin to fill a migrated database in one transaction, if it is empty.
    ///
    /// With a rollback journal this costs no second copy on the disk, as the write-ahead log would: what was not there
    /// before needs no journal. Nobody else may have it open, or it would not change its journal.
    pub(crate) async fn load(path: &Path) -> Result<Self, TransferError> {
        let refused = |error: &dyn std::fmt::Display| told(path, &error.to_string());
        let mut connection = open_alone(path).map_err(|error| refused(&error))?;
        journal(&mut connection, "DELETE").map_err(|error| refused(&error))?;
        let mut conn = wrap(connection, TimeSource::Database);
        conn.begin_immediate().map_err(|error| refused(&error))?;
        let mut session = Self { conn, database: path.display().to_string() };
        session.make_room().await?;
        Ok(session)
    }

    /// Begin to change a database that nobody else has open.
    pub(crate) fn alone(path: &Path) -> Result<Self, TransferError> {
        let refused = |error: &dyn std::fmt::Display| told(path, &error.to_string());
        let mut conn = wrap(open_alone(path).map_err(|error| refused(&error))?, TimeSource::Database);
        conn.begin_immediate().map_err(|error| refused(&error))?;
        Ok(Self { conn, database: path.display().to_string() })
    }

    /// Keep what was loaded.
    #[expect(clippy::unused_async, reason = "it is awaited where the other database's is")]
    pub(crate) async fn commit(mut self) -> Result<(), TransferError> {
        self.conn.commit().map_err(|error| self.failed(error))
    }
}

fn journal(connection: &mut SqliteConnection, mode: &str) -> diesel::QueryResult<()> {
    connection.batch_execute(&format!("PRAGMA journal_mode = {mode}"))
}

/// The database's time.
pub(super) async fn now(conn: &mut Conn, system_time: Timestamp) -> TxResult<Timestamp> {
    Ok(clock::clock(conn).await?.max(system_time))
}

/// The time that it is: what is stored is in doubt.
#[expect(clippy::unused_async, reason = "it is awaited where the other database's is")]
pub(super) async fn true_now(_conn: &mut Conn, system_time: Timestamp) -> TxResult<Timestamp> {
    Ok(system_time)
}

/// Nothing: the next key follows the greatest there is.
#[expect(clippy::unused_async, reason = "it is awaited where the other database's is")]
pub(super) async fn loaded(_conn: &mut Conn) -> TxResult<()> {
    Ok(())
}
