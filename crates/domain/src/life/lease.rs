//! A worker takes a lease on a root, renews it, and loses it.

use pinrail_spec::Timestamp;

use super::{LeaseRecord, RootRecord};
use crate::{LeaseToken, RootState};

impl RootRecord {
    /// Lease it until `until`: a releasing one to unpin it, any other to pin it.
    pub fn take_lease(&mut self, token: LeaseToken, until: Timestamp) {
        self.lease = Some(LeaseRecord { token, until });
        self.epoch += 1;
        self.attempts = self.attempts.saturating_add(1);
        if self.state != RootState::Releasing {
            self.state = RootState::Pinning;
            self.retry = true;
            self.waiting = false;
            self.paused = false;
        }
    }

    /// Have its lease end at `until`, expired or not.
    pub const fn renew_lease(&mut self, until: Timestamp) {
        if let Some(lease) = &mut self.lease {
            lease.until = until;
        }
    }

    /// End its lease, whoever has it; the attempt stays counted.
    pub const fn end_lease(&mut self) {
        self.lease = None;
    }
}
