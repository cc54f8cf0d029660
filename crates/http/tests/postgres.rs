//! The whole suite over PostgreSQL, each test in a database of its own on one server.

#[path = "suite/mod.rs"]
mod suite;

mod storage {
    use std::any::Any;
    use std::sync::Arc;

    use pinrail_storage::Storage;
    use pinrail_storage_conformance::TestClock;
    use pinrail_storage_diesel::{PostgresOptions, PostgresStorage, TimeSource, postgres_schema};
    use pinrail_testbed::postgres::{Lent, lend};

    /// An empty storage, and what has to stay as long as it does.
    pub type Fresh = (Arc<dyn Storage>, Box<dyn Any + Send + Sync>);

    pub async fn fresh(clock: &Arc<TestClock>) -> Fresh {
        let database = lend(migrate);
        let storage = again(&database, clock).await;
        (storage, Box::new(database))
    }

    /// The same storage as another process would open it. Its clock is the server's, which the tests cannot move, so its
    /// steps go by theirs.
    pub async fn again(kept: &(dyn Any + Send + Sync), _: &Arc<TestClock>) -> Arc<dyn Storage> {
        let url = kept.downcast_ref::<Lent>().unwrap().url();
        let options = PostgresOptions { time: TimeSource::Caller, ..PostgresOptions::default() };
        Arc::new(PostgresStorage::open(&url, &options).await.unwrap())
    }

    fn migrate(url: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(postgres_schema::migrate(url)).unwrap();
    }
}
