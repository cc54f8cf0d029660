//! The whole suite over SQLite, each test in a database of its own.

#[path = "suite/mod.rs"]
mod suite;

mod storage {
    use std::any::Any;
    use std::sync::Arc;

    use pinrail_storage::Storage;
    use pinrail_storage_conformance::TestClock;
    use pinrail_storage_diesel::{SqliteOptions, SqliteStorage, migrate};
    use tempfile::TempDir;

    const FILE: &str = "pinrail.db";

    /// An empty storage, and what has to stay as long as it does.
    pub type Fresh = (Arc<dyn Storage>, Box<dyn Any + Send + Sync>);

    pub async fn fresh(clock: &Arc<TestClock>) -> Fresh {
        let folder = tempfile::tempdir().unwrap();
        migrate(&folder.path().join(FILE)).unwrap();
        let storage = again(&folder, clock).await;
        (storage, Box::new(folder))
    }

    /// The same storage as another process would open it.
    pub async fn again(kept: &(dyn Any + Send + Sync), clock: &Arc<TestClock>) -> Arc<dyn Storage> {
        let path = kept.downcast_ref::<TempDir>().unwrap().path().join(FILE);
        let clock = Arc::clone(clock);
        let storage = SqliteStorage::open(&path, SqliteOptions::default(), Arc::new(move || clock.now())).await;
        Arc::new(storage.unwrap())
    }
}
