//! How much of the service's room is in use, for whoever measures it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pinrail_storage::ListUse;

/// What is in use at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Requests with a good token that are being answered, until their answers are sent.
    pub in_flight: usize,
    /// Requests that wait for others of their token or account to be answered.
    pub waiting: usize,
    /// Bytes of answers that are being made or sent.
    pub answer_bytes: usize,
    /// Places for lists in the database, and how many wait for one.
    pub lists: ListUse,
}

/// A number that goes up and down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

/// One that is counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Gauge {
    pub(crate) fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
