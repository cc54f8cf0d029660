//! A connection of SQLite that runs queries where it is called, and how each one is set up.

use std::path::Path;

use diesel::backend::Backend;
use diesel::connection::{AnsiTransactionManager, LoadConnection, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::query_builder::{AsQuery, CollectedQuery, MoveableBindCollector, QueryBuilder, QueryFragment, QueryId};
use diesel::row::IntoOwnedRow;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use futures::future::{FutureExt, Ready, ready};
use futures::stream;

/// A connection that runs each query where it is called: SQLite has a thread of its own here, or is asked what takes
/// microseconds.
///
/// Unlike diesel-async's own wrapper it keeps every statement prepared, also those that Diesel takes for too various
/// to keep (each UPDATE, each upsert): ours are a fixed set, and preparing them anew took most of a step's time.
pub(super) struct Connection {
    inner: SqliteConnection,
}

type LoadedRow<'conn, 'query> = <SqliteConnection as LoadConnection>::Row<'conn, 'query>;
type OwnedRow<'conn, 'query> = <LoadedRow<'conn, 'query> as IntoOwnedRow<'conn, Sqlite>>::OwnedRow;
type Binds = <<Sqlite as Backend>::BindCollector<'static> as MoveableBindCollector<Sqlite>>::BindData;

impl Connection {
    /// Begin to write, with the lock of the whole database.
    pub(super) fn begin_immediate(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(&mut self.inner, "BEGIN IMMEDIATE")
    }

    /// Begin a transaction, or a savepoint in one.
    pub(super) fn begin(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction(&mut self.inner)
    }

    /// Keep what was done since it began.
    pub(super) fn commit(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::commit_transaction(&mut self.inner)
    }

    /// Undo what was done since it began.
    pub(super) fn roll_back(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::rollback_transaction(&mut self.inner)
    }

    fn load_all<Q>(&mut self, query: &Q) -> QueryResult<Vec<QueryResult<OwnedRow<'static, 'static>>>>
    where
        Q: QueryFragment<Sqlite>,
    {
        let query = collect(query)?;
        let mut names = None;
        let rows = LoadConnection::load(&mut self.inner, &query)?;
        rows.map(|row| Ok(Ok(IntoOwnedRow::into_owned(row?, &mut names)))).collect()
    }
}

/// A query with its binds taken out, to be kept prepared by its text.
fn collect<Q: QueryFragment<Sqlite>>(query: &Q) -> QueryResult<CollectedQuery<Binds>> {
    let mut binds = <Sqlite as Backend>::BindCollector::default();
    query.collect_binds(&mut binds, &mut (), &Sqlite)?;
    let mut text = <Sqlite as Backend>::QueryBuilder::default();
    query.to_sql(&mut text, &Sqlite)?;
    Ok(CollectedQuery::new(text.finish(), true, binds.moveable()))
}

impl SimpleAsyncConnection for Connection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.inner.batch_execute(query)
    }
}

impl AsyncConnectionCore for Connection {
    type ExecuteFuture<'conn, 'query> = Ready<QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = Ready<QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = stream::Iter<std::vec::IntoIter<QueryResult<Self::Row<'conn, 'query>>>>;
    type Row<'conn, 'query> = OwnedRow<'static, 'static>;
    type Backend = Sqlite;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Sqlite> + QueryId + 'query,
    {
        ready(self.load_all(&source.as_query()).map(stream::iter))
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Sqlite> + QueryId + 'query,
    {
        ready(collect(&source).and_then(|query| diesel::Connection::execute_returning_count(&mut self.inner, &query)))
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
    let mut connection = <SqliteConnection as diesel::Connection>::establish(&path.to_string_lossy())?;
    connection.batch_execute(settings).map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// A connection for the queries.
pub(super) const fn wrap(connection: SqliteConnection) -> Connection {
    Connection { inner: connection }
}

/// What a future comes to whose queries all run inline, so that nothing in it ever waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("queries that run inline are done when they are first polled")
}
