//! A root loses a pin request or a hold, and is released once it has none.

use pinrail_spec::Timestamp;

use super::RootRecord;
use crate::RootState;

/// What the loss of a pin request or a hold made of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// It is wanted or held as before.
    Kept,
    /// Holds alone are left, and its fetch ended.
    Idle,
    /// Nothing is left: a worker unpins it. What was received counts no more.
    Releasing,
}

impl RootRecord {
    /// Count one pin request less, which a hold of its account takes the place of if `is_held`.
    pub fn lose_request(&mut self, is_held: bool, now: Timestamp) -> Unwanted {
        self.requests = self.requests.saturating_sub(1);
        if !is_held {
            self.refs = self.refs.saturating_sub(1);
        }
        if self.refs == 0 {
            self.begin_anew(RootState::Releasing, now);
            Unwanted::Releasing
        } else if self.requests == 0 && self.is_unfinished() {
            self.lease = None;
            self.waiting = false;
            self.epoch += 1;
            Unwanted::Idle
        } else {
            Unwanted::Kept
        }
    }

    /// Count one hold less.
    pub fn lose_hold(&mut self, now: Timestamp) -> Unwanted {
        self.refs = self.refs.saturating_sub(1);
        if self.refs == 0 {
            self.begin_anew(RootState::Releasing, now);
            return Unwanted::Releasing;
        }
        Unwanted::Kept
    }

    /// Be released on the next node that may have a copy, too.
    pub fn release_next(&mut self, now: Timestamp) {
        self.lease = None;
        self.due = now;
        self.attempts = 0;
    }
}
