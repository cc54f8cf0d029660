//! The clock of tests that open a storage as the programs do.

use std::time::{SystemTime, UNIX_EPOCH};

use pinrail_spec::Timestamp;

/// The system's time.
#[expect(clippy::disallowed_methods, reason = "a test composes the storage, so it gives it the system's clock")]
pub fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("it is earlier than the end of time"))
}
