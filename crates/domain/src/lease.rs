//! Leases: a worker's right to work on one root for a while, and what it found.

use pinrail_spec::{Multiaddr, RootKey, Timestamp};

use crate::{AccountId, DagSize, LeaseToken, RootFailure};

/// What proves that a lease is still held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseKey {
    /// The root that is leased.
    pub root: RootKey,
    /// The token made when it was taken.
    pub token: LeaseToken,
    /// The root's epoch when it was taken; it rises with each lease and each time the root becomes wanted or unwanted.
    pub epoch: u64,
}

impl LeaseKey {
    /// The least epoch before the first of a root whose row is made at `now`.
    ///
    /// A root's row goes when it is released, and IPFS backends remember the epoch that they released: a row that is
    /// made anew has to begin above it, or what was deleted could never be pinned again. The storage keeps the
    /// greatest epoch of a row that went, in case the clock was put back; the time itself keeps a database that was
    /// restored from an old copy above what backends have seen since.
    pub fn epoch_before(now: Timestamp) -> u64 {
        u64::try_from(now.as_millis()).unwrap_or(0) << 16
    }
}

/// What is to be done with a leased root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseTask {
    /// Fetch it, or find that it is whole.
    Pin {
        /// Peers known to have it: its requests' origins in turns (see [`crate::take_origins_in_turns`]), at most 60.
        origins: Vec<Multiaddr>,
        /// The root that it replaces, whose blocks it may share.
        previous: Option<RootKey>,
    },
    /// Unpin it: nobody wants it any more.
    Release,
}

/// A root that this worker alone may work on until the lease expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What proves it.
    pub key: LeaseKey,
    /// What is to be done.
    pub task: LeaseTask,
    /// The account whose turn it was; `None` for a release.
    pub account: Option<AccountId>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When the root was last wanted afresh: its total time limit counts from here.
    pub wanted_since: Timestamp,
    /// When the lease expires unless it is renewed.
    pub until: Timestamp,
}

/// What a worker has to know of a lease it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseNews {
    /// Go on, with these origins.
    Wanted {
        /// Its requests' origins in turns, as those of the lease.
        origins: Vec<Multiaddr>,
    },
    /// Every account that wants it has used up its bytes: stop, and settle as failed.
    OverQuota,
    /// Nobody wants it any more, or the lease is another's: stop, and settle nothing.
    Lost,
}

/// What becomes of a leased root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Whole and durable.
    Pinned {
        /// Distinct blocks and bytes of the whole DAG.
        size: DagSize,
    },
    /// Try again; the attempt counts.
    Retry {
        /// When.
        due: Timestamp,
        /// Why this attempt failed.
        failure: RootFailure,
    },
    /// Nobody connected has it: it gives up its slot and stays `pinning`; the attempt does not count.
    Wait {
        /// When to try again even if no peer that has it connects.
        due: Timestamp,
        /// What was looked for in vain.
        failure: RootFailure,
    },
    /// The node has no room, or is going down: it stays as it is; the attempt does not count.
    Pause {
        /// When to try again.
        due: Timestamp,
        /// Whether the node's disk is full, for `info`.
        storage_full: bool,
    },
    /// Given up, for all its requests.
    Failed {
        /// Why.
        failure: RootFailure,
    },
    /// Unpinned; the root goes if it is still unwanted.
    Released,
}
