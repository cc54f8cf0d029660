//! Whether the service can do its work, asked of the database at most once a second.

use std::time::Duration;

use pinrail_spec::Timestamp;
use pinrail_storage::{Storage, StorageError};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::request_log::timed;

/// How long an answer counts. Anyone may ask, and each question costs the database a durable write.
const COUNTS_FOR: Duration = Duration::from_secs(1);

/// A database that takes longer is not ready; whoever asks does not wait for ever either.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last answer, and when it was given.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Timestamp, Result<(), StorageError>)>>);

impl Readiness {
    /// Whether the database answered and accepted a write within the last second.
    pub(crate) async fn check(&self, storage: &dyn Storage, now: Timestamp) -> Result<(), StorageError> {
        let mut last = self.0.lock().await;
        if let Some((_, answer)) = last.as_ref().filter(|(at, _)| now.since(*at) < COUNTS_FOR) {
            return answer.clone();
        }
        let late = |_| Err(StorageError::Unavailable("it did not answer in time".to_owned()));
        let answer = timeout(PATIENCE, timed("ready", storage.ready())).await.unwrap_or_else(late);
        *last = Some((now, answer.clone()));
        answer
    }
}
