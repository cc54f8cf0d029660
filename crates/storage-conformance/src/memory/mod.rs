//! Storage in memory: the storage traits as an executable specification.
//!
//! One lock over plain maps, every method one step under it, everything that can be counted is counted when it is
//! asked for. It is what tests of other crates run on, and the model that real databases are compared with.

mod accounts;
mod audit;
mod clock;
mod fair_queue;
mod guided;
mod holds;
mod leases;
mod limits;
mod list;
mod nodes;
mod pin_requests;
mod root_queue;
mod roots;
mod statistics;
mod tables;
mod tokens;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pinrail_domain::ServiceId;
use pinrail_spec::Timestamp;
use pinrail_storage::{Statistics, Storage, StorageError};
use tokio::sync::Notify;

pub use clock::TestClock;
pub(crate) use guided::Wanted;
use tables::Tables;

/// Everything that Pinrail keeps, in memory and by the letter of the storage traits.
pub struct MemoryStorage {
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    service: ServiceId,
    tables: Mutex<Tables>,
    changed: Notify,
    /// Calls that are to fail, by the names of their methods.
    refused: Mutex<Vec<&'static str>>,
}

impl MemoryStorage {
    /// An empty storage whose database clock is `clock`. Each one of a process is another service.
    pub fn new(clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&MADE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let service = ServiceId::new(clock(), bytes);
        Self { clock, service, tables: Mutex::default(), changed: Notify::new(), refused: Mutex::default() }
    }

    /// Let one call of each of these methods of `RootQueue` fail with `Unavailable`, for tests of those who ask: nothing
    /// of it is done. A method that is named several times fails as often.
    pub fn refuse(&self, methods: &[&'static str]) {
        self.refused.lock().expect("nothing panics with it").extend(methods);
    }

    /// An error if this call is to fail.
    fn answer(&self, method: &str) -> Result<(), StorageError> {
        let mut refused = self.refused.lock().expect("nothing panics with it");
        match refused.iter().position(|name| *name == method) {
            Some(place) => {
                refused.remove(place);
                Err(StorageError::Unavailable(format!("{method} was to fail")))
            }
            None => Ok(()),
        }
    }

    /// An empty storage whose database clock is a clock that a test moves.
    pub fn with_clock(clock: &Arc<TestClock>) -> Self {
        let clock = Arc::clone(clock);
        Self::new(Arc::new(move || clock.now()))
    }

    /// Another storage in which everything stands as it does in this one.
    pub(crate) fn fork(&self) -> Self {
        let tables = self.step(|tables| tables.clone());
        let clock = Arc::clone(&self.clock);
        let (tables, refused) = (Mutex::new(tables), Mutex::default());
        Self { clock, service: self.service, tables, changed: Notify::new(), refused }
    }

    /// One atomic step.
    fn step<T>(&self, step: impl FnOnce(&mut Tables) -> T) -> T {
        step(&mut self.tables.lock().expect("no step panics while it holds the tables"))
    }

    /// One atomic step at `now`, below which the clock then never is.
    fn step_at<T>(&self, now: Timestamp, step: impl FnOnce(&mut Tables) -> T) -> T {
        self.step(|tables| {
            tables.latest = tables.latest.max(Some(now));
            step(tables)
        })
    }

    /// One atomic step after which workers may have something to do.
    fn step_for_workers<T>(&self, now: Timestamp, step: impl FnOnce(&mut Tables) -> T) -> T {
        let outcome = self.step_at(now, step);
        self.changed.notify_waiters();
        // A permit for a worker that is about to wait: it would sleep through this change.
        self.changed.notify_one();
        outcome
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn now(&self) -> Result<Timestamp, StorageError> {
        let latest = self.step(|tables| tables.latest);
        Ok(latest.map_or_else(|| (self.clock)(), |latest| latest.max((self.clock)())))
    }

    async fn service_id(&self) -> Result<ServiceId, StorageError> {
        Ok(self.service)
    }

    async fn statistics(&self, now: Timestamp) -> Result<Statistics, StorageError> {
        Ok(self.step(|tables| tables.statistics(now)))
    }

    async fn ready(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use pinrail_domain::{AccountId, Limits, Role};
    use pinrail_spec::Timestamp;
    use pinrail_storage::{Accounts, NewAccount, RootQueue, Storage};
    use uuid::Uuid;

    use super::{MemoryStorage, TestClock};

    fn storage() -> (Arc<TestClock>, MemoryStorage) {
        let clock = Arc::new(TestClock::at(Timestamp::from_millis(1_000)));
        let storage = MemoryStorage::with_clock(&clock);
        (clock, storage)
    }

    #[tokio::test]
    async fn the_clock_is_the_tests_own() {
        let (clock, storage) = storage();
        assert_eq!(storage.now().await, Ok(Timestamp::from_millis(1_000)));
        assert_eq!(clock.advance(Duration::from_secs(2)), Timestamp::from_millis(3_000));
        assert_eq!(storage.now().await, Ok(Timestamp::from_millis(3_000)));
    }

    #[tokio::test]
    async fn each_storage_is_another_service() {
        let (first, second) = (storage().1, storage().1);
        assert_ne!(first.service_id().await, second.service_id().await);
    }

    #[tokio::test]
    async fn a_worker_is_woken_by_what_it_waits_for_and_what_came_before() {
        let (clock, storage) = storage();
        let id = AccountId::from_uuid(Uuid::from_u128(1));
        let account =
            NewAccount { id, name: "ada".to_owned(), email: None, role: Role::Pinner, limits: Limits::STANDARD };
        storage.add_account(&account, clock.now()).await.unwrap();

        storage.set_blocked(&id, None, clock.now()).await.unwrap();
        storage.changed().await.unwrap();

        let block = async { storage.set_blocked(&id, Some("spam"), clock.now()).await };
        let (woken, blocked) = tokio::join!(storage.changed(), block);
        assert_eq!((woken, blocked.unwrap().blocked.as_deref()), (Ok(()), Some("spam")));
    }
}
