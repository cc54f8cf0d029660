//! Every check of the storage traits on PostgreSQL; after each one the counters are held against what they count.

use std::sync::Arc;

use pinrail_storage::Storage;
use pinrail_storage_conformance::{Fixture, check_storage};
use pinrail_storage_diesel::{PostgresStorage, TimeSource};

use crate::server::PostgresDatabase;

pub async fn fresh_database() -> Fixture {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open_with(TimeSource::Caller).await);
    let shared: Arc<dyn Storage> = Arc::<PostgresStorage>::clone(&storage);
    let other = Arc::new(database.open_with(TimeSource::Caller).await);
    Fixture::keeping(shared, database).beside(other).locking_rows().recounted_by(move || {
        let storage = Arc::clone(&storage);
        Box::pin(async move {
            let differences = storage.check_counters().await.expect("the counters are read");
            differences.iter().map(|difference| format!("{difference:?}")).collect()
        })
    })
}

check_storage!(crate::conformance::fresh_database);
