//! Why a backend could not do what it was asked, by what the caller can do about it.

use cid::Cid;
use thiserror::Error;

/// Where an attempt stood when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking for a peer that has the root.
    Finding,
    /// Dialling the peers that should have it.
    Connecting,
    /// Receiving blocks.
    Transferring,
    /// Holding blocks against their CIDs and reading their links.
    Checking,
    /// Writing to the disk.
    Storing,
}

/// Blocks below the root that were asked for and did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// One of them.
    pub block: Cid,
    /// How many more of them are known; those below them are not.
    pub more: u32,
    /// The peers that were asked for the one.
    pub peers: u32,
}

/// Why a backend could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IpfsError {
    /// No reachable peer has the root: ask again later, or when one connects.
    #[error("no peer that has it was found: {tried}")]
    NotProvided {
        /// Whether it was a matter of finding or of reaching a peer.
        stage: Stage,
        /// What was tried, without addresses.
        tried: String,
        /// What nobody has although the root was found.
        missing: Option<Box<Missing>>,
    },
    /// The attempt broke off: try again later.
    #[error("{details}")]
    Interrupted {
        /// Where it stood.
        stage: Stage,
        /// A short code for machines, such as `STALLED`.
        reason: &'static str,
        /// What happened.
        details: String,
        /// What was waited for in vain.
        missing: Option<Box<Missing>>,
    },
    /// The content itself cannot be pinned: trying again changes nothing.
    #[error("{details}")]
    Unpinnable {
        /// A short code for machines, such as `UNSUPPORTED_HASH`.
        reason: &'static str,
        /// What is wrong with it.
        details: String,
    },
    /// No room is left: wait until there is.
    #[error("the storage is full")]
    StorageFull,
    /// The root became wanted or unwanted since; a newer lease has it.
    #[error("a newer lease has this root")]
    StaleEpoch,
    /// The backend itself does not answer or is broken: wait, and tell the operator.
    #[error("the IPFS backend is not available: {details}")]
    Unavailable {
        /// What it could not do.
        stage: Stage,
        /// What happened, for the operator.
        details: String,
    },
}
