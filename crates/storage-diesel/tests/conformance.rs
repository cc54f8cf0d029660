//! Every check of the storage traits on SQLite; after each one the counters are held against what they count.

mod database;

use std::sync::Arc;

use pinrail_spec::Timestamp;
use pinrail_storage::Storage;
use pinrail_storage_conformance::{Fixture, TestClock, check_storage};
use pinrail_storage_diesel::{SqliteStorage, TimeSource};

use database::Database;

/// A database whose steps go by its own clock, as those of the programs do.
async fn fresh_database() -> Fixture {
    fresh_database_with(TimeSource::Database).await
}

async fn fresh_database_on_callers_clocks() -> Fixture {
    fresh_database_with(TimeSource::Caller).await
}

async fn fresh_database_with(time: TimeSource) -> Fixture {
    let database = Database::new();
    let clock = Arc::new(TestClock::at(Timestamp::from_millis(1_767_225_600_000)));
    let shown = Arc::clone(&clock);
    let shown: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || shown.now());
    let storage = Arc::new(database.open_with(time, Arc::clone(&shown)).await);
    let other = Arc::new(database.open_with(time, shown).await);
    let shared: Arc<dyn Storage> = Arc::<SqliteStorage>::clone(&storage);
    Fixture::keeping(shared, database).beside(other).on_clock(clock).recounted_by(move || {
        let storage = Arc::clone(&storage);
        Box::pin(async move {
            let differences = storage.check_counters().await.expect("the counters are read");
            differences.iter().map(|difference| format!("{difference:?}")).collect()
        })
    })
}

check_storage!(crate::fresh_database, crate::fresh_database_on_callers_clocks);
