//! Whole tables of a PostgreSQL database: the snapshot that is read, and the transaction that fills an empty one.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use pinrail_spec::Timestamp;

use super::Conn;
use super::clock::CLOCK;
use super::open::{Place, Problem};
use super::pool::Pool;
use super::trait_impls::Session;
use crate::convert::moment;
use crate::error::TxResult;
use crate::transfer::{Others, TransferError};
use crate::{DatabaseError, TimeSource};

/// What begins a transaction that writes.
const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// One transaction over everything takes as long as it takes.
const UNHURRIED: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Connections of other programs of Pinrail to this database, by what all of them are called.
const OTHERS: &str = "(SELECT string_agg(DISTINCT coalesce(host(client_addr), 'this machine'), ', ')
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend' AND application_name ~ '^pinrail( |$)')";

/// Every program reads this table first, so whoever comes now waits for the end.
const CLOSE: &str = "LOCK TABLE service IN ACCESS EXCLUSIVE MODE";

/// How often others are looked for: the server takes a moment to notice that a connection is closed.
const LOOKS: u32 = 25;
/// How long to wait in between.
const LOOK: Duration = Duration::from_millis(100);

/// Where the next key of each table comes from.
const SEQUENCES: &str = "DO $$ DECLARE next record; BEGIN
    FOR next IN SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND is_identity = 'YES'
    LOOP
        EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L), coalesce(max(%I), 0) + 1, false) FROM %I',
            next.table_name, next.column_name, next.column_name, next.table_name);
    END LOOP;
END $$; ANALYZE";

/// Add rows in one statement: each would wait for the server.
macro_rules! insert_all {
    ($table:expr, $rows:expr, $conn:expr) => {
        diesel::insert_into($table).values($rows).execute($conn).await?;
    };
}
pub(super) use insert_all;

impl Session {
    /// Begin to read one snapshot.
    pub(crate) async fn snapshot(url: &str, others: Others) -> Result<Self, TransferError> {
        let mut session = Self::connect(url).await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        if others == Others::Welcome {
            session.begin(begin).await?;
            return Ok(session);
        }
        session.begin_alone(begin).await?;
        // Somebody may have come before the door was closed. The snapshot is made by this very query.
        session.refuse_others(1).await?;
        Ok(session)
    }

    /// Begin to fill a migrated database in one transaction, if it is empty.
    pub(crate) async fn load(url: &str) -> Result<Self, TransferError> {
        let mut session = Self::connect(url).await?;
        session.begin_alone(WRITE).await?;
        session.make_room().await?;
        Ok(session)
    }

    /// Begin to change a database that no other program is connected to.
    pub(crate) async fn alone(url: &str) -> Result<Self, TransferError> {
        let mut session = Self::connect(url).await?;
        session.begin_alone(WRITE).await?;
        Ok(session)
    }

    /// Keep what was loaded.
    pub(crate) async fn commit(mut self) -> Result<(), TransferError> {
        self.run("COMMIT").await
    }

    async fn connect(url: &str) -> Result<Self, TransferError> {
        let place = Place::read(url).map_err(DatabaseError::from)?;
        let failed = |why: String| DatabaseError::from(place.error(Problem::Failed(why)));
        let conn = Pool::new(&place, 1, TimeSource::Database).map_err(failed)?.lend().await.map_err(failed)?;
        Ok(Self { conn, database: place.address.shown.clone() })
    }

    async fn begin(&mut self, begin: &str) -> Result<(), TransferError> {
        self.run(&format!("{begin}; {UNHURRIED}")).await
    }

    /// Begin once no other program is connected, and keep out those that come.
    async fn begin_alone(&mut self, begin: &str) -> Result<(), TransferError> {
        self.refuse_others(LOOKS).await?;
        self.begin(begin).await?;
        self.run(CLOSE).await
    }

    async fn run(&mut self, statements: &str) -> Result<(), TransferError> {
        let run = self.conn.batch_execute(statements).await;
        run.map_err(|error| self.failed(error))
    }

    /// Check that no other program of Pinrail is connected, with so many looks until it is gone.
    async fn refuse_others(&mut self, looks: u32) -> Result<(), TransferError> {
        for look in 1.. {
            let others = diesel::select(sql::<Nullable<Text>>(OTHERS)).get_result(&mut self.conn).await;
            let others: Option<String> = others.map_err(|error| self.failed(error))?;
            match others {
                None => break,
                Some(who) if look == looks => {
                    return Err(TransferError::InUse { database: self.database.clone(), who });
                }
                Some(_) => tokio::time::sleep(LOOK).await,
            }
        }
        Ok(())
    }
}

/// The database's time.
pub(super) async fn now(conn: &mut Conn, _system_time: Timestamp) -> TxResult<Timestamp> {
    Ok(moment(diesel::select(sql::<BigInt>(CLOCK)).get_result(conn).await?))
}

/// The time that it is: the server's.
pub(super) async fn true_now(conn: &mut Conn, system_time: Timestamp) -> TxResult<Timestamp> {
    now(conn, system_time).await
}

/// Let the next keys follow the greatest there are, and let the planner know what came.
pub(super) async fn loaded(conn: &mut Conn) -> TxResult<()> {
    Ok(conn.batch_execute(SEQUENCES).await?)
}
