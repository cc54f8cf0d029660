//! The life of a root as pure transitions over plain values: wanted, leased, settled, lost, released.
//!
//! A storage reads a root's row, asks a transition, and writes the row and what the answer says. Rules that hold for
//! every transition: `refs` counts requests and holds; `epoch` rises with each lease and each time the root becomes
//! wanted or unwanted, so that a worker of an older epoch changes nothing any more.

mod lease;
mod settle;
mod unwant;
mod want;

use pinrail_spec::{Cid, Timestamp};

use crate::{DagSize, LeaseKey, LeaseToken, Progress, RootFailure, RootState, RootView};

pub use settle::{HELD_AFTER_FAILURE, LeaseLost, Settled};
pub use unwant::Unwanted;
pub use want::Wanted;

/// How a root stands: the part of its row that its life changes, without its name, node and received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootRecord {
    /// Where it stands.
    pub state: RootState,
    /// Pin requests for it.
    pub requests: u64,
    /// Pin requests and holds.
    pub refs: u64,
    /// Rises with each lease and each time it becomes wanted or unwanted.
    pub epoch: u64,
    /// When it is looked at next.
    pub due: Timestamp,
    /// When it was last wanted afresh: the total time limit counts from here.
    pub wanted_since: Timestamp,
    /// Leases taken since then that count.
    pub attempts: u32,
    /// It was tried and goes behind its account's new roots.
    pub retry: bool,
    /// No connected peer has it: it gave up its slot and is asked for in rotation.
    pub waiting: bool,
    /// The node's disk is full, so its fetch pauses.
    pub paused: bool,
    /// The lease that was taken last and has not ended; it may have expired.
    pub lease: Option<LeaseRecord>,
    /// The size of the whole DAG, once it is pinned.
    pub size: Option<DagSize>,
    /// Why the last attempt failed, if it did.
    pub failure: Option<RootFailure>,
}

/// A lease as a root's row holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRecord {
    /// What proves it.
    pub token: LeaseToken,
    /// When it expires unless it is renewed.
    pub until: Timestamp,
}

/// A root's place in the queue of each account with requests for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePlace {
    /// 0 for a root that was never tried, 1 for one that was, 2 for a retry. The first two are one queue.
    pub rank: u8,
    /// When it is due; `None` while it is leased or there is nothing to fetch.
    pub due: Option<Timestamp>,
}

impl RootRecord {
    /// Whether it is still to be fetched.
    pub const fn is_unfinished(&self) -> bool {
        self.state.is_unfinished()
    }

    /// Whether an unexpired lease holds it.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.is_some_and(|lease| now < lease.until)
    }

    /// Whether `lease` holds it, expired or not.
    pub fn is_held_by(&self, lease: &LeaseKey) -> bool {
        self.epoch == lease.epoch && self.lease.is_some_and(|held| held.token == lease.token)
    }

    /// Whether it may be leased now to be pinned.
    pub fn may_be_pinned(&self, now: Timestamp) -> bool {
        self.is_unfinished() && self.requests > 0 && self.is_free(now)
    }

    /// Whether it may be leased now to be released.
    pub fn may_be_released(&self, now: Timestamp) -> bool {
        self.state == RootState::Releasing && self.is_free(now)
    }

    fn is_free(&self, now: Timestamp) -> bool {
        self.due <= now && !self.is_leased(now)
    }

    /// Its place in the queues of its accounts.
    pub fn queue_place(&self) -> QueuePlace {
        let rank = match (self.state, self.retry) {
            (RootState::Queued, _) => 0,
            (_, false) => 1,
            (_, true) => 2,
        };
        QueuePlace { rank, due: (self.is_unfinished() && self.lease.is_none()).then_some(self.due) }
    }

    /// The bytes that it counts for in each account that has it; `received` is what a fetch has received so far.
    pub fn counted_bytes(&self, received: Progress) -> u64 {
        match self.state {
            RootState::Pinned => self.size.map_or(0, DagSize::counted_bytes),
            RootState::Queued | RootState::Pinning => received.counted_bytes(),
            RootState::Failed | RootState::Releasing => 0,
        }
    }

    /// What a reader of a pin request is told of it.
    pub fn view(&self, received: Progress, node_silent: bool, now: Timestamp) -> RootView {
        let is_idle = self.state == RootState::Pinning && !self.is_leased(now);
        RootView {
            state: self.state,
            attempts: self.attempts,
            progress: self.size.unwrap_or(received),
            size: self.size,
            failure: self.failure.clone(),
            due: is_idle.then_some(self.due),
            waiting: self.waiting,
            node_silent,
            paused: self.paused,
        }
    }

    /// Enter a state that begins a new life: a worker of the old one has lost it.
    fn begin_anew(&mut self, state: RootState, now: Timestamp) {
        self.state = state;
        self.epoch += 1;
        self.due = now;
        self.attempts = 0;
        self.retry = false;
        self.waiting = false;
        self.paused = false;
        self.lease = None;
        self.size = None;
        self.failure = None;
    }
}

impl DagSize {
    /// The size of a DAG whose CID holds all of it, as an identity hash does: one block, the digest.
    pub fn inline(cid: &Cid) -> Option<Self> {
        cid.is_whole().then(|| Self { blocks: 1, bytes: u64::from(cid.inner().hash().size()) })
    }
}
