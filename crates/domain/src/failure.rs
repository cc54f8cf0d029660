//! Failures of roots: the phase that an attempt was in, the reason for machines, and the sentence for a person.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was being done when an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Looking for a peer that has the root.
    Finding,
    /// Dialling the peers that should have it.
    Connecting,
    /// Receiving blocks.
    Transferring,
    /// Checking blocks against their CIDs and reading their links.
    Checking,
    /// Writing to the disk.
    Storing,
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Finding => "finding a provider",
            Self::Connecting => "connecting",
            Self::Transferring => "transferring",
            Self::Checking => "checking",
            Self::Storing => "storing",
        })
    }
}

/// Why an attempt failed, for machines: `failure_reason` in the info of a pin (docs/api.md explains each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
pub enum FailureReason {
    /// No peer that has the root, or the rest of its DAG, was found.
    NoProviderFound,
    /// A peer had it, and no block came for too long.
    Stalled,
    /// The IPFS backend does not work.
    BackendUnavailable,
    /// The worker panicked.
    WorkerBroke,
    /// The account's bytes are used up.
    QuotaExceeded,
    /// The DAG has too many bytes.
    TooLarge,
    /// The DAG has too many blocks.
    TooManyBlocks,
    /// A block is larger than other nodes send or take.
    BlockTooLarge,
    /// A block is not what its codec says.
    MalformedBlock,
    /// A block has a codec whose links cannot be read.
    UnsupportedCodec,
    /// A block has a hash that cannot be checked.
    UnsupportedHash,
    /// A block links to a CID with a digest that cannot be held.
    DigestTooLong,
    /// The root does not read as a CID.
    MalformedCid,
    /// Another version of Pinrail wrote it.
    Unknown,
}

impl FailureReason {
    /// All reasons that this version gives.
    pub const ALL: [Self; 13] = [
        Self::NoProviderFound,
        Self::Stalled,
        Self::BackendUnavailable,
        Self::WorkerBroke,
        Self::QuotaExceeded,
        Self::TooLarge,
        Self::TooManyBlocks,
        Self::BlockTooLarge,
        Self::MalformedBlock,
        Self::UnsupportedCodec,
        Self::UnsupportedHash,
        Self::DigestTooLong,
        Self::MalformedCid,
    ];

    /// Its code on the wire, in the database, in metrics and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoProviderFound => "NO_PROVIDER_FOUND",
            Self::Stalled => "STALLED",
            Self::BackendUnavailable => "BACKEND_UNAVAILABLE",
            Self::WorkerBroke => "WORKER_BROKE",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::TooLarge => "TOO_LARGE",
            Self::TooManyBlocks => "TOO_MANY_BLOCKS",
            Self::BlockTooLarge => "BLOCK_TOO_LARGE",
            Self::MalformedBlock => "MALFORMED_BLOCK",
            Self::UnsupportedCodec => "UNSUPPORTED_CODEC",
            Self::UnsupportedHash => "UNSUPPORTED_HASH",
            Self::DigestTooLong => "DIGEST_TOO_LONG",
            Self::MalformedCid => "MALFORMED_CID",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl From<String> for FailureReason {
    fn from(code: String) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == code).unwrap_or(Self::Unknown)
    }
}

impl From<FailureReason> for &'static str {
    fn from(reason: FailureReason) -> Self {
        reason.as_str()
    }
}

/// Blocks below a root that an attempt asked for and did not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The CID of one of them, of version 1.
    pub block: String,
    /// How many more of them are known; those below them are not.
    pub more: u64,
    /// The peers that were asked for the one.
    pub peers: u64,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.more {
            0 => write!(formatter, "block {} is missing", self.block)?,
            more => write!(formatter, "block {} and {more} more are missing", self.block)?,
        }
        match self.peers {
            0 => formatter.write_str(", and no peer was there to ask"),
            1 => formatter.write_str(", one peer was asked for it"),
            peers => write!(formatter, ", {peers} peers were asked for it"),
        }
    }
}

/// Why an attempt, or a whole root, failed: where it stood, what happened, what a person can do.
///
/// The database holds it as JSON, so its fields and the names of its values stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFailure {
    /// What was being done.
    pub phase: Phase,
    /// The kind, for machines.
    pub reason: FailureReason,
    /// What happened and what a person can do, one sentence without addresses of others.
    pub details: String,
    /// The blocks that were waited for in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}
