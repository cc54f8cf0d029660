//! A migrated database in a folder of its own, for one test.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pinrail_spec::Timestamp;
use pinrail_storage_diesel::{SqliteOptions, SqliteStorage, TimeSource, migrate};
use tempfile::TempDir;

/// A migrated database, from which the others are copied.
static MIGRATED: OnceLock<Vec<u8>> = OnceLock::new();

/// A migrated database that goes with its folder.
pub struct Database {
    folder: TempDir,
}

impl Database {
    pub fn new() -> Self {
        let database = Self { folder: tempfile::tempdir().expect("there is room for a folder") };
        let migrated = MIGRATED.get_or_init(|| {
            migrate(&database.path()).expect("an empty file is migrated");
            std::fs::read(database.path()).expect("a migrated file is read")
        });
        std::fs::write(database.path(), migrated).expect("there is room for a file");
        database
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("pinrail.sqlite")
    }

    /// Open it with `clock` for the machine's, and steps that go by `time`.
    pub async fn open_with(&self, time: TimeSource, clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> SqliteStorage {
        let options = SqliteOptions { time, ..SqliteOptions::default() };
        SqliteStorage::open(&self.path(), options, clock).await.expect("a migrated file is opened")
    }
}
