//! Every check of the storage traits on PostgreSQL; after each one the counters are compared with what they count.

use std::sync::Arc;

use pinrail_spec::Timestamp;
use pinrail_storage::Storage;
use pinrail_storage_conformance::{Fixture, TestClock, check_storage};
use pinrail_storage_diesel::{PostgresStorage, TimeSource};

use crate::server::PostgresDatabase;

/// A server's clock that stands still: the name of the real one finds it first in every session to come.
const STANDING_CLOCK: &str = "CREATE SCHEMA standing;
    CREATE TABLE standing.clock AS SELECT CAST(0 AS BIGINT) AS millis;
    CREATE FUNCTION standing.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT to_timestamp(0) + millis * interval ''1 millisecond'' FROM standing.clock';
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET search_path = public, standing, pg_catalog', current_database());
    END $$";

/// A database whose steps go by the server's clock, as those of the programs do. The checks move it.
async fn fresh_database() -> Fixture {
    let database = Arc::new(PostgresDatabase::new());
    database.sql(STANDING_CLOCK);
    let server = Arc::clone(&database);
    let clock = TestClock::at(Timestamp::from_millis(1_767_225_600_000)).followed_by(move |now| {
        server.sql(&format!("UPDATE standing.clock SET millis = {}", now.as_millis()));
    });
    fixture(database, TimeSource::Database).await.on_clock(Arc::new(clock))
}

/// A database whose steps go by their callers' clocks.
pub async fn fresh_database_on_callers_clocks() -> Fixture {
    fixture(Arc::new(PostgresDatabase::new()), TimeSource::Caller).await
}

async fn fixture(database: Arc<PostgresDatabase>, time: TimeSource) -> Fixture {
    let storage = Arc::new(database.open_with(time).await);
    let shared: Arc<dyn Storage> = Arc::<PostgresStorage>::clone(&storage);
    let other = Arc::new(database.open_with(time).await);
    Fixture::keeping(shared, database).beside(other).locking_rows().recounted_by(move || {
        let storage = Arc::clone(&storage);
        Box::pin(async move {
            let differences = storage.check_counters().await.expect("the counters are read");
            differences.iter().map(|difference| format!("{difference:?}")).collect()
        })
    })
}

check_storage!(crate::conformance::fresh_database, crate::conformance::fresh_database_on_callers_clocks);
