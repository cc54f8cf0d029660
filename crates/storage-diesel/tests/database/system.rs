//! The database with the system's clock, for tests of several processes and of what is SQLite's own.

use std::sync::Arc;

use pinrail_storage_diesel::{SqliteStorage, TimeSource};

use crate::clock::system_time;
use crate::database::Database;

impl Database {
    pub async fn open(&self) -> SqliteStorage {
        self.open_with(TimeSource::Database, Arc::new(system_time)).await
    }
}
