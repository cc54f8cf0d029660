//! The in-memory reference passes every check.

use std::sync::Arc;

use pinrail_spec::Timestamp;
use pinrail_storage_conformance::{Fixture, MemoryStorage, TestClock};

async fn memory() -> Fixture {
    let clock = Arc::new(TestClock::at(Timestamp::from_millis(1_767_225_600_000)));
    Fixture::new(Arc::new(MemoryStorage::with_clock(&clock))).on_clock(clock)
}

pinrail_storage_conformance::check_storage!(crate::memory);
