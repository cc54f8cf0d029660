//! What can go wrong in storage, by what the caller can do about it.

use pinrail_domain::QuotaExceeded;
use thiserror::Error;

/// Why a storage step was not done. Nothing is half done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StorageError {
    /// The lease is another's, or the root became unwanted: drop the work.
    #[error("the lease is lost")]
    LeaseLost,
    /// Something with that name or id is already there.
    #[error("{0} is already there")]
    Conflict(String),
    /// What the step refers to is not there (an account that was removed, a token that is unknown).
    #[error("{0} is not there")]
    Missing(String),
    /// A limit of the account is reached.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// No node ever registered, so nobody could fetch.
    #[error("no IPFS node has registered, start a worker first")]
    NoNode,
    /// The account asks for more at once than its share, or for what takes too long: ask for less, or later.
    #[error("{0}")]
    Busy(String),
    /// The database's disk is full: what takes up no more of it goes on.
    #[error("the disk of the database is full: {0}")]
    Full(String),
    /// The database does not answer, is locked or read-only: try again later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// What is stored contradicts itself: a person has to look.
    #[error("the database holds what it should not: {0}")]
    Corrupt(String),
}
