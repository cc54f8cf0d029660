//! What a worker's verdict does to a root.

use std::time::Duration;

use pinrail_domain::{DagSize, Progress, RootFailure, RootState, Verdict};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{Settlement, StorageError};

use super::tables::{RootRow, Tables};

/// How long the root of a replaced request outlives the failure of the one that replaced it.
const HELD_AFTER_FAILURE: Duration = Duration::from_hours(24);

impl Tables {
    pub fn settle(&mut self, settlement: &Settlement, now: Timestamp) -> Result<(), StorageError> {
        let key = &settlement.lease.root;
        let root = self.leased_mut(&settlement.lease).ok_or(StorageError::LeaseLost)?;
        let is_release = root.state == RootState::Releasing;
        match (&settlement.verdict, is_release) {
            (Verdict::Pinned { size }, false) => self.settle_pinned(key, *size, now),
            (Verdict::Failed { failure }, false) => self.settle_failed(key, failure, now),
            (Verdict::Retry { due, failure }, _) => root.put_off(root.next_try(*due, now), Some(failure)),
            (Verdict::Wait { due, failure }, false) => {
                root.put_off(root.next_try(*due, now), Some(failure));
                root.give_attempt_back();
                root.waiting = true;
            }
            (Verdict::Pause { due, storage_full }, _) => {
                root.put_off(*due, None);
                root.give_attempt_back();
                root.retry = !storage_full && root.failure.is_some();
                root.paused = *storage_full;
            }
            (Verdict::Released, true) => self.finish_release(key, now),
            (Verdict::Pinned { .. } | Verdict::Failed { .. } | Verdict::Wait { .. }, true)
            | (Verdict::Released, false) => return Err(StorageError::LeaseLost),
        }
        Ok(())
    }

    fn settle_pinned(&mut self, key: &RootKey, size: DagSize, now: Timestamp) {
        let root = self.root_mut(key);
        root.state = RootState::Pinned;
        root.lease = None;
        root.failure = None;
        root.progress = Progress { blocks: size.blocks, bytes: size.bytes };
        root.size = Some(size);
        self.end_holds_of_requests(key, now);
        self.change_copies(key);
    }

    fn settle_failed(&mut self, key: &RootKey, failure: &RootFailure, now: Timestamp) {
        let root = self.root_mut(key);
        root.state = RootState::Failed;
        root.lease = None;
        root.failure = Some(failure.clone());
        self.end_holds_later(key, Some(now + HELD_AFTER_FAILURE));
        self.change_copies(key);
    }

    /// The root's node has no copy any more: the row goes, or on to the next node that may have one.
    pub fn finish_release(&mut self, key: &RootKey, now: Timestamp) {
        let node = self.roots[key].node;
        self.root_mut(key).holders.remove(&node);
        let next = self.roots[key].holders.iter().find(|node| !self.is_retired(node)).copied();
        if let Some(node) = next {
            let root = self.root_mut(key);
            root.lease = None;
            root.node = node;
            root.due = now;
            root.attempts = 0;
        } else {
            let gone = self.roots.remove(key).map_or(0, |root| root.epoch);
            self.released_epoch = self.released_epoch.max(gone);
        }
    }
}

impl RootRow {
    /// When to try again: at once where a request came since the lease was taken.
    fn next_try(&self, due: Timestamp, now: Timestamp) -> Timestamp {
        let asked_since = !self.retry && self.is_unfinished();
        if asked_since { now } else { due }
    }

    /// Let go of the lease until `due`.
    fn put_off(&mut self, due: Timestamp, failure: Option<&RootFailure>) {
        self.lease = None;
        self.due = due;
        self.failure = failure.cloned().or_else(|| self.failure.take());
    }

    fn give_attempt_back(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }
}
