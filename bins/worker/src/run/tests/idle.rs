//! What a worker with nothing to do costs.

use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::{Backend, NodeId, Policy};
use pinrail_spec::Timestamp;
use pinrail_storage::Storage;
use pinrail_storage_conformance::TestClock;
use pinrail_storage_diesel::{SqliteOptions, SqliteStorage, migrate};

use super::backend::ScriptedBackend;
use super::scene::address;
use crate::run::Worker;

#[tokio::test(start_paused = true)]
async fn an_idle_minute_writes_three_signs_of_life() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pinrail.db");
    migrate(&path).expect("a new database");
    let clock = Arc::new(TestClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let shown = Arc::clone(&clock);
    let storage = SqliteStorage::open(&path, SqliteOptions::default(), Arc::new(move || shown.now())).await;
    let storage: Arc<dyn Storage> = Arc::new(storage.expect("it is migrated"));
    let backend = ScriptedBackend::new(address(4401));
    let node = NodeId::new(Timestamp::from_millis(0), [7; 10]);
    let die = Box::new(|| 0.0);
    let mut worker = Worker::new(Arc::clone(&storage), backend, node, Backend::Embedded, Policy::default(), die);
    worker.step(true).await.expect("it is registered");

    let mut seen = storage.revision();
    let mut wrote = Vec::new();
    for second in 1..=60 {
        clock.advance(Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        worker.step(true).await.expect("there is nothing to do");
        if std::mem::replace(&mut seen, storage.revision()) != seen {
            wrote.push(second);
        }
    }
    assert_eq!(wrote, [20, 40, 60]);
}
