//! What a monitoring system is told, counted anew.

use pinrail_domain::RootState;
use pinrail_spec::{Status, Timestamp};
use pinrail_storage::{COUNTED_ROOTS, LongestDue, Statistics};

use super::tables::{RootRow, Tables};

impl Tables {
    pub fn statistics(&self, now: Timestamp) -> Statistics {
        let count = |of: &dyn Fn(&RootRow) -> bool| self.roots.values().filter(|root| of(root)).count();
        let some = |of: &dyn Fn(&RootRow) -> bool| count(of).min(COUNTED_ROOTS) as u64;
        let with = |status: Status| self.requests.values().filter(|request| request.status == status).count() as u64;
        Statistics {
            bytes: 0,
            requests: Status::ALL.map(with),
            unfinished: count(&|root| root.record.is_unfinished()) as u64,
            waiting: some(&|root| root.record.waiting),
            releasing: some(&|root| root.record.state == RootState::Releasing),
            leased: count(&|root| root.record.lease.is_some()) as u64,
            longest_due: self.longest_due(now),
        }
    }

    fn longest_due(&self, now: Timestamp) -> LongestDue {
        let is_due =
            |root: &&RootRow| root.record.is_unfinished() && root.record.lease.is_none() && root.record.due <= now;
        let may_run = |root: &&RootRow| root.accounts().iter().any(|account| !self.is_blocked(account));
        let longest = |of: &dyn Fn(&RootRow) -> bool| {
            let due = self.roots.values().filter(is_due).filter(may_run).filter(|root| of(root));
            due.map(|root| root.record.due).min()
        };
        LongestDue {
            queued: longest(&|root| root.record.state == RootState::Queued),
            pinning: longest(&|root| root.record.state == RootState::Pinning && !root.record.retry),
            retry: longest(&|root| root.record.state == RootState::Pinning && root.record.retry),
        }
    }
}
