//! Roots: what the service keeps, one for each codec and multihash over all accounts.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use pinrail_spec::{Status, Timestamp};

use crate::RootFailure;

/// Where a root stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootState {
    /// Wanted, and no worker has begun.
    Queued,
    /// A worker has begun; a retry does not turn it back.
    Pinning,
    /// Whole and durable.
    Pinned,
    /// Given up, for all its requests.
    Failed,
    /// Nobody wants it any more; a worker unpins it and the row goes.
    Releasing,
}

impl RootState {
    /// What clients are told; a root that is being released has no requests, so there is nobody to tell.
    pub const fn status(self) -> Option<Status> {
        match self {
            Self::Queued => Some(Status::Queued),
            Self::Pinning => Some(Status::Pinning),
            Self::Pinned => Some(Status::Pinned),
            Self::Failed => Some(Status::Failed),
            Self::Releasing => None,
        }
    }

    /// Whether a root in this state is still to be fetched.
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::Queued | Self::Pinning)
    }

    /// Its word in the database and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pinning => "pinning",
            Self::Pinned => "pinned",
            Self::Failed => "failed",
            Self::Releasing => "releasing",
        }
    }
}

impl FromStr for RootState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Queued, Self::Pinning, Self::Pinned, Self::Failed, Self::Releasing]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(())
    }
}

/// What a block takes up beside its bytes, in bytes, as accounts count it: a record in a segment, rows in the index, and
/// the empty space that these leave. Measured with blocks of 64 bytes.
pub const BLOCK_OVERHEAD: u64 = 1024;

/// The size of a DAG, or of the part of it that is durable: distinct blocks and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DagSize {
    /// Distinct blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl DagSize {
    /// The bytes that it counts for in an account.
    pub const fn counted_bytes(self) -> u64 {
        self.bytes.saturating_add(self.blocks.saturating_mul(BLOCK_OVERHEAD))
    }
}

/// The size of what a running fetch has durably received.
pub type Progress = DagSize;

/// What a reader of a pin request is told of its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootView {
    /// Where it stands.
    pub state: RootState,
    /// Attempts since it was last wanted afresh.
    pub attempts: u32,
    /// What has been received of it.
    pub progress: Progress,
    /// Its whole size, once known.
    pub size: Option<DagSize>,
    /// Why the last attempt failed, if it did.
    pub failure: Option<RootFailure>,
    /// When it is looked at next, for one that waits.
    pub due: Option<Timestamp>,
    /// No connected peer has it: it gave up its slot and is asked for in rotation.
    pub waiting: bool,
    /// The node that holds it has been silent for too long.
    pub node_silent: bool,
    /// The node's disk is full, so its fetch pauses.
    pub paused: bool,
}
