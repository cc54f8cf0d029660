//! What a worker's verdict makes of the root that it leased.

use std::time::Duration;

use pinrail_spec::Timestamp;
use thiserror::Error;

use super::RootRecord;
use crate::{DagSize, RootFailure, RootState, Verdict};

/// How long the root of a replaced request outlives the failure of the one that replaced it.
pub const HELD_AFTER_FAILURE: Duration = Duration::from_hours(24);

/// What a verdict made of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is whole: holds that wait for it end, and what was received is forgotten in favour of its size.
    Pinned,
    /// It is given up: holds that wait for it end at this time.
    Failed {
        /// When.
        holds_end: Timestamp,
    },
    /// It is tried again later.
    PutOff,
    /// This node has unpinned it: the next node with a copy does so too, and without one the row goes.
    Released,
}

/// The verdict does not fit what was leased, so it is of another lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the lease was lost")]
pub struct LeaseLost;

impl RootRecord {
    /// Settle the lease that it is held by; nothing changes when the verdict does not fit it.
    pub fn settle(&mut self, verdict: &Verdict, now: Timestamp) -> Result<Settled, LeaseLost> {
        match (verdict, self.state == RootState::Releasing) {
            (Verdict::Pinned { size }, false) => Ok(self.settle_pinned(*size)),
            (Verdict::Failed { failure }, false) => Ok(self.settle_failed(failure, now)),
            (Verdict::Retry { due, failure }, _) => {
                self.put_off(self.next_try(*due, now));
                self.failure = Some(failure.clone());
                Ok(Settled::PutOff)
            }
            (Verdict::Wait { due, failure }, false) => {
                self.put_off(self.next_try(*due, now));
                self.failure = Some(failure.clone());
                self.attempts = self.attempts.saturating_sub(1);
                self.waiting = true;
                Ok(Settled::PutOff)
            }
            (Verdict::Pause { due, storage_full }, _) => {
                self.put_off(*due);
                self.attempts = self.attempts.saturating_sub(1);
                self.retry &= !storage_full && self.failure.is_some();
                self.paused = *storage_full;
                Ok(Settled::PutOff)
            }
            (Verdict::Released, true) => Ok(Settled::Released),
            (Verdict::Pinned { .. } | Verdict::Failed { .. } | Verdict::Wait { .. }, true)
            | (Verdict::Released, false) => Err(LeaseLost),
        }
    }

    fn settle_pinned(&mut self, size: DagSize) -> Settled {
        self.state = RootState::Pinned;
        self.lease = None;
        self.failure = None;
        self.size = Some(size);
        Settled::Pinned
    }

    fn settle_failed(&mut self, failure: &RootFailure, now: Timestamp) -> Settled {
        self.state = RootState::Failed;
        self.lease = None;
        self.failure = Some(failure.clone());
        Settled::Failed { holds_end: now + HELD_AFTER_FAILURE }
    }

    /// When to try again: at once where a request came since the lease was taken, whose origins the attempt may not have
    /// asked.
    fn next_try(&self, due: Timestamp, now: Timestamp) -> Timestamp {
        let asked_since = !self.retry && self.is_unfinished();
        if asked_since { now } else { due }
    }

    fn put_off(&mut self, due: Timestamp) {
        self.lease = None;
        self.due = due;
    }
}
