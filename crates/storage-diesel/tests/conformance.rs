//! Every check of the storage traits on SQLite; after each one the counters are held against what they count.

mod database;

use std::sync::Arc;

use pinrail_storage::Storage;
use pinrail_storage_conformance::{Fixture, check_storage};
use pinrail_storage_diesel::SqliteStorage;

use database::Database;

/// Recounts everything when a check has ended well.
struct Recount {
    storage: Option<Arc<SqliteStorage>>,
    _database: Database,
}

impl Drop for Recount {
    fn drop(&mut self) {
        let Some(storage) = self.storage.take() else { return };
        if std::thread::panicking() {
            return;
        }
        // A check ends inside its runtime, where nothing may block on another.
        let recount = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime is made");
            runtime.block_on(storage.check_counters())
        });
        let differences = recount.join().expect("the recount ends").expect("the counters are read");
        assert_eq!(differences, []);
    }
}

async fn fresh_database() -> Fixture {
    let database = Database::new();
    let storage = Arc::new(database.open().await);
    let shared: Arc<dyn Storage> = Arc::<SqliteStorage>::clone(&storage);
    Fixture::keeping(shared, Recount { storage: Some(storage), _database: database })
}

check_storage!(crate::fresh_database);
