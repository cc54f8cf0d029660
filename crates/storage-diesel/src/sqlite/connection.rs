//! A connection of SQLite that runs queries where it is called, and how each one is set up.

use std::error::Error;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
use futures::future::{BoxFuture, FutureExt, ready};

use super::Conn;

/// Runs what blocks where it is called: SQLite has threads of its own here, or is asked what takes microseconds.
pub(super) struct Inline;

impl SpawnBlocking for Inline {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn Error + Send + Sync + 'static>>>
    where
        R: Send + 'static,
    {
        ready(Ok(task())).boxed()
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// Every commit is on the disk when it is answered. Readers never wait for the writer. Temporary tables and sorts
/// stay in memory. The checkpoint comes every 16 MiB: it costs two syncs, whatever it copies.
const SETTINGS: &str = "
    PRAGMA busy_timeout = 30000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -16384;
    PRAGMA wal_autocheckpoint = 4096;
    PRAGMA journal_size_limit = 67108864;
";

/// Open a connection that may write.
pub(super) fn open_writer(path: &Path) -> ConnectionResult<SqliteConnection> {
    establish(path, SETTINGS)
}

/// Open a connection that only reads.
pub(super) fn open_reader(path: &Path) -> ConnectionResult<SqliteConnection> {
    establish(path, &format!("{SETTINGS} PRAGMA query_only = ON;"))
}

fn establish(path: &Path, settings: &str) -> ConnectionResult<SqliteConnection> {
    let mut connection = SqliteConnection::establish(&path.to_string_lossy())?;
    connection.batch_execute(settings).map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// A connection for the queries.
pub(super) fn wrap(connection: SqliteConnection) -> Conn {
    SyncConnectionWrapper::with_runtime(connection, Inline)
}

/// What a future comes to whose queries all run inline, so that nothing in it ever waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("queries that run inline are done when they are first polled")
}
