//! Why a backend could not do what it was asked, by what the caller can do about it.

use std::error::Error;
use std::sync::Arc;

use pinrail_domain::{FailureReason, Missing, Phase, RootFailure};

/// Why a backend could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IpfsError {
    /// No reachable peer has the root: ask again later, or when one connects.
    #[error("no peer that has it was found: {tried}")]
    NotProvided {
        /// Whether it was a matter of finding or of reaching a peer.
        phase: Phase,
        /// What was tried, without addresses.
        tried: String,
        /// The blocks that nobody has although the root was found.
        missing: Option<Missing>,
    },
    /// The attempt broke off: try again later.
    #[error("{}", .0.details)]
    Broken(RootFailure),
    /// The content itself cannot be pinned: trying again changes nothing.
    #[error("{details}")]
    Unpinnable {
        /// The kind.
        reason: FailureReason,
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
    #[error("the IPFS backend is not available")]
    Unavailable {
        /// What it could not do.
        phase: Phase,
        /// The cause, for the operator.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl IpfsError {
    /// A backend that failed in this phase, by an error or a sentence.
    pub fn unavailable(phase: Phase, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { phase, source: source.into().into() }
    }
}
