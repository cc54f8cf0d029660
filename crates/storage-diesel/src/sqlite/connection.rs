//! A connection of SQLite that runs queries where it is called, and how each one is set up.

use std::path::Path;
use std::sync::Arc;

use diesel::connection::{AnsiTransactionManager, LoadConnection, SimpleConnection, TransactionManager};
use diesel::deserialize::FromSqlRow;
use diesel::dsl::Limit;
use diesel::expression::QueryMetadata;
use diesel::prelude::*;
use diesel::query_builder::{AsQuery, CollectedQuery, MoveableBindCollector, QueryBuilder, QueryFragment, QueryId};
use diesel::query_dsl::CompatibleType;
use diesel::query_dsl::methods::LimitDsl;
use diesel::result::Error;
use diesel::sql_types::BigInt;
use diesel::sqlite::{Sqlite, SqliteConnection};
use futures::future::{FutureExt, Ready, ready};
use pinrail_spec::Timestamp;

use super::pace::Pace;
use crate::TimeSource;

/// A connection that runs each query where it is called: SQLite has a thread of its own here, or is asked what takes
/// microseconds.
///
/// Unlike diesel-async's own wrapper it reads each value where SQLite has it, with no copy of the row, and it keeps
/// every statement prepared, also those that Diesel takes for too various to keep (each UPDATE, each upsert): ours are
/// a fixed set but for some filters, and preparing them anew took most of a step's time.
pub(crate) struct Connection {
    inner: SqliteConnection,
    time: TimeSource,
    /// Whether statements that Diesel does not know by their type are kept prepared.
    keeps_prepared: bool,
    /// What keeps its time going where steps go by the database's.
    pace: Option<Arc<Pace>>,
}

type Cursor<'conn, 'query> = <SqliteConnection as LoadConnection>::Cursor<'conn, 'query>;
type Binds = <<Sqlite as diesel::backend::Backend>::BindCollector<'static> as MoveableBindCollector<Sqlite>>::BindData;

impl Connection {
    /// Begin to write, with the lock of the whole database.
    pub(super) fn begin_immediate(&mut self) -> QueryResult<()> {
        AnsiTransactionManager::begin_transaction_sql(&mut self.inner, "BEGIN IMMEDIATE")
    }

    /// Begin a transaction, or a savepoint in one.
    pub(super) fn begin(&mut self) -> QueryResult<()> {
        self.keeps_prepared = true;
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

    /// What differs when another connection, of whatever process, has committed in between.
    pub(super) fn data_version(&mut self) -> QueryResult<i64> {
        diesel::dsl::sql::<BigInt>("PRAGMA data_version").load_first(self)
    }

    /// Rows that it has changed since it was opened.
    pub(super) fn total_changes(&mut self) -> QueryResult<i64> {
        diesel::dsl::sql::<BigInt>("SELECT total_changes()").load_first(self)
    }

    /// Say whether the queries that follow in this transaction are kept prepared: those with a text for each number of
    /// something that a client chooses are not, or their number would have no bound.
    pub(super) const fn keep_prepared(&mut self, keeps: bool) {
        self.keeps_prepared = keeps;
    }

    /// The same connection, whose time goes on when the machine's clock was put back.
    pub(super) fn paced(self, pace: &Arc<Pace>) -> Self {
        let pace = (self.time == TimeSource::Database).then(|| Arc::clone(pace));
        Self { pace, ..self }
    }

    /// The least that the database's time is, of which `stored` is the greatest that was written.
    pub(super) fn time_at(&self, stored: Timestamp) -> Timestamp {
        self.pace.as_ref().map_or(stored, |pace| pace.time(stored))
    }

    /// The time that it had at the last look, if it is ahead of the machine's.
    pub(super) fn reached(&self) -> Option<Timestamp> {
        self.pace.as_ref().and_then(|pace| pace.reached())
    }

    /// Whose time its steps go by.
    pub(super) const fn time(&self) -> TimeSource {
        self.time
    }

    /// Run a query. Those that Diesel knows by their type are found prepared without their text.
    fn cursor<'conn, 'query, Q>(&'conn mut self, query: Q) -> QueryResult<Cursor<'conn, 'query>>
    where
        Q: diesel::query_builder::Query + QueryFragment<Sqlite> + QueryId + 'query,
        Sqlite: QueryMetadata<Q::SqlType>,
    {
        if is_known(&query)? {
            LoadConnection::load(&mut self.inner, query)
        } else {
            let collected = self.collect(&query)?;
            load_collected(&mut self.inner, collected)
        }
    }

    /// Run a query for its effect; how many rows it changed.
    pub(super) fn run<Q: QueryFragment<Sqlite> + QueryId>(&mut self, query: &Q) -> QueryResult<usize> {
        // Diesel is handed a reference, which never passes on what the query itself says of being kept prepared.
        if is_known(&query)? {
            diesel::Connection::execute_returning_count(&mut self.inner, query)
        } else {
            let collected = self.collect(query)?;
            diesel::Connection::execute_returning_count(&mut self.inner, &collected)
        }
    }

    /// A query with its binds taken out, to be kept prepared by its text.
    fn collect<Q: QueryFragment<Sqlite>>(&mut self, query: &Q) -> QueryResult<CollectedQuery<Binds>> {
        let mut binds = <Sqlite as diesel::backend::Backend>::BindCollector::default();
        query.collect_binds(&mut binds, &mut (), &Sqlite)?;
        let mut text = <Sqlite as diesel::backend::Backend>::QueryBuilder::default();
        query.to_sql(&mut text, &Sqlite)?;
        Ok(CollectedQuery::new(text.finish(), self.keeps_prepared, binds.moveable()))
    }
}

fn load_collected<'query>(
    conn: &mut SqliteConnection,
    query: CollectedQuery<Binds>,
) -> QueryResult<Cursor<'_, 'query>> {
    LoadConnection::load(conn, query)
}

/// Whether Diesel keeps a statement prepared by the type of its query.
fn is_known<Q: QueryFragment<Sqlite> + QueryId>(query: &Q) -> QueryResult<bool> {
    Ok(Q::query_id().is_some() && query.is_safe_to_cache_prepared(&Sqlite)?)
}

/// The methods that `diesel_async::RunQueryDsl` has for PostgreSQL.
pub(super) trait RunQueryDsl: Sized {
    /// All rows.
    fn load<T>(self, conn: &mut Connection) -> Ready<QueryResult<Vec<T>>>
    where
        Self: Load<T>,
    {
        ready(self.load_all(conn))
    }

    /// The first row; `NotFound` when there is none.
    fn get_result<T>(self, conn: &mut Connection) -> Ready<QueryResult<T>>
    where
        Self: Load<T>,
    {
        ready(self.load_first(conn))
    }

    /// The same, of a query that may have more rows.
    fn first<T>(self, conn: &mut Connection) -> Ready<QueryResult<T>>
    where
        Self: LimitDsl,
        Limit<Self>: Load<T>,
    {
        ready(self.limit(1).load_first(conn))
    }

    /// Run it for its effect; how many rows it changed.
    fn execute(self, conn: &mut Connection) -> Ready<QueryResult<usize>>
    where
        Self: QueryFragment<Sqlite> + QueryId,
    {
        ready(conn.run(&self))
    }
}

impl<Q> RunQueryDsl for Q {}

/// A query whose rows can be read as `T`.
pub(super) trait Load<T> {
    /// All rows.
    fn load_all(self, conn: &mut Connection) -> QueryResult<Vec<T>>;

    /// The first row; `NotFound` when there is none.
    fn load_first(self, conn: &mut Connection) -> QueryResult<T>;
}

impl<Q, T> Load<T> for Q
where
    Q: AsQuery,
    Q::Query: QueryFragment<Sqlite> + QueryId,
    Q::SqlType: CompatibleType<T, Sqlite>,
    Sqlite: QueryMetadata<Q::SqlType>,
    T: FromSqlRow<<Q::SqlType as CompatibleType<T, Sqlite>>::SqlType, Sqlite>,
{
    fn load_all(self, conn: &mut Connection) -> QueryResult<Vec<T>> {
        let rows = conn.cursor(self.as_query())?;
        rows.map(|row| T::build_from_row(&row?).map_err(Error::DeserializationError)).collect()
    }

    fn load_first(self, conn: &mut Connection) -> QueryResult<T> {
        let row = conn.cursor(self.as_query())?.next().ok_or(Error::NotFound)?;
        T::build_from_row(&row?).map_err(Error::DeserializationError)
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
    PRAGMA cache_size = -8192;
    PRAGMA wal_autocheckpoint = 4096;
    PRAGMA journal_size_limit = 67108864;
";

/// Open a connection that may write.
pub(super) fn open_writer(path: &Path) -> ConnectionResult<SqliteConnection> {
    establish(path, SETTINGS)
}

/// Open a connection that only reads. There are several, so each keeps fewer pages than the writer: the system's cache
/// has the others.
pub(super) fn open_reader(path: &Path) -> ConnectionResult<SqliteConnection> {
    establish(path, &format!("{SETTINGS} PRAGMA query_only = ON; PRAGMA cache_size = -1024;"))
}

/// Open a connection that only reads, on a disk or in a folder that cannot be written.
///
/// Without a write-ahead log the file is all there is. With one that a program left behind, SQLite reads both.
pub(super) fn open_read_only(path: &Path) -> ConnectionResult<SqliteConnection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = std::fs::metadata(log).is_ok_and(|found| found.len() > 0);
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let url = format!("file:{name}?{}", if has_log { "mode=ro" } else { "immutable=1" });
    let settings = "PRAGMA busy_timeout = 30000; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;";
    establish(Path::new(&url), settings)
}

/// Open a connection that may write while nobody else has the database open, and that keeps others from opening it.
pub(super) fn open_alone(path: &Path) -> ConnectionResult<SqliteConnection> {
    establish(
        path,
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 2000; PRAGMA foreign_keys = ON;
        PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;
        PRAGMA journal_mode = WAL;",
    )
}

/// Open a connection that only watches, and does not wait for who holds the database.
pub(super) fn open_watcher(path: &Path) -> ConnectionResult<SqliteConnection> {
    establish(path, &format!("{SETTINGS} PRAGMA query_only = ON; PRAGMA busy_timeout = 0;"))
}

fn establish(path: &Path, settings: &str) -> ConnectionResult<SqliteConnection> {
    let mut connection = <SqliteConnection as diesel::Connection>::establish(&path.to_string_lossy())?;
    connection.batch_execute(settings).map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// A connection for the queries.
pub(super) fn wrap(connection: SqliteConnection, time: TimeSource) -> Connection {
    Connection { inner: connection, time, keeps_prepared: true, pace: None }
}

/// What a future comes to whose queries all run inline, so that nothing in it ever waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("queries that run inline are done when they are first polled")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use diesel::connection::InstrumentationEvent;

    use super::*;
    use crate::schema::pin_counts;

    const TABLE: &str = "CREATE TABLE pin_counts (account, level, bucket, status, n, since,
        PRIMARY KEY (account, level, bucket, status)) WITHOUT ROWID";

    fn count_one_more(conn: &mut Connection) -> usize {
        let (n, status) = (pin_counts::n, pin_counts::status);
        let row = (pin_counts::account.eq(1), pin_counts::level.eq(0), pin_counts::bucket.eq(7), status.eq("queued"));
        let upsert = diesel::insert_into(pin_counts::table)
            .values((row, n.eq(1), pin_counts::since.eq(5)))
            .on_conflict((pin_counts::account, pin_counts::level, pin_counts::bucket, status))
            .do_update()
            .set(n.eq(n + 1));
        at_once(RunQueryDsl::execute(upsert, conn)).expect("it is counted")
    }

    #[test]
    fn an_upsert_is_prepared_once() {
        let mut inner = <SqliteConnection as diesel::Connection>::establish(":memory:").expect("a database");
        inner.batch_execute(TABLE).expect("the table is made");
        let kept = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&kept);
        diesel::Connection::set_instrumentation(&mut inner, move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::CacheQuery { sql, .. } = event {
                seen.lock().expect("nobody panics").push(sql.to_owned());
            }
        });
        let mut conn = wrap(inner, TimeSource::Database);
        assert_eq!((count_one_more(&mut conn), count_one_more(&mut conn)), (1, 1));
        let kept = kept.lock().expect("nobody panics");
        assert!(matches!(kept.as_slice(), [text] if text.contains("ON CONFLICT")), "{kept:?}");
    }
}
