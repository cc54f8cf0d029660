//! The database with the system's clock, for tests of several processes and of what is SQLite's own.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pinrail_spec::Timestamp;
use pinrail_storage_diesel::SqliteStorage;

use crate::database::Database;

impl Database {
    pub async fn open(&self) -> SqliteStorage {
        self.open_with(Arc::new(system_time)).await
    }
}

/// The system's time.
#[expect(clippy::disallowed_methods, reason = "a test composes the storage, so it gives it the system's clock")]
pub fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("it is earlier than the end of time"))
}
