//! The whole suite over the storage in memory.

#[path = "suite/mod.rs"]
mod suite;

mod storage {
    use std::any::Any;
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use pinrail_storage::Storage;
    use pinrail_storage_conformance::{MemoryStorage, TestClock};

    /// An empty storage, and what has to stay as long as it does.
    pub type Fresh = (Arc<dyn Storage>, Box<dyn Any + Send + Sync>);

    pub fn fresh(clock: &Arc<TestClock>) -> Ready<Fresh> {
        let storage = Arc::new(MemoryStorage::with_clock(clock));
        ready((storage.clone(), Box::new(storage)))
    }

    /// The same storage as another process would open it: in memory there is only the one.
    pub fn again(kept: &(dyn Any + Send + Sync), _: &Arc<TestClock>) -> Ready<Arc<dyn Storage>> {
        ready(kept.downcast_ref::<Arc<MemoryStorage>>().unwrap().clone())
    }
}
