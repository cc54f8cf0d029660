//! The whole suite over PostgreSQL, each test in a database of its own on one server.

#[path = "suite/mod.rs"]
mod suite;

mod storage {
    use std::any::Any;
    use std::sync::Arc;

    use pinrail_postgres_fixture::lend;
    use pinrail_storage::Storage;
    use pinrail_storage_conformance::TestClock;
    use pinrail_storage_diesel::{PostgresOptions, PostgresStorage, postgres_schema};

    /// An empty storage, and what has to stay as long as it does.
    pub type Fresh = (Arc<dyn Storage>, Box<dyn Any + Send + Sync>);

    pub async fn fresh(_clock: &Arc<TestClock>) -> Fresh {
        let database = lend(migrate);
        let storage = PostgresStorage::open(&database.url(), &PostgresOptions::default()).await;
        (Arc::new(storage.unwrap()), Box::new(database))
    }

    fn migrate(url: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(postgres_schema::migrate(url)).unwrap();
    }
}
