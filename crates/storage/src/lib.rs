//! What Pinrail keeps: the storage traits, one for each consumer, and their one error enum.
//!
//! Every method is one atomic step, and takes the time as an argument. It is the caller's: where accounts, nodes and pin
//! requests are changed or shown, a database that knows the time better goes by its own, so that due times, leases and
//! heartbeats are of one clock whatever the machine of an api shows. Which database does it is not known here;
//! `pinrail-storage-conformance` holds the checks that every implementation passes.

mod accounts;
mod audit;
mod error;
mod nodes;
mod pin_requests;
mod root_queue;
mod statistics;
mod tokens;

pub use accounts::{Accounts, NewAccount};
pub use audit::{AuditEntry, AuditFilter, AuditLog};
pub use error::StorageError;
pub use nodes::{NodeRegistration, Nodes};
pub use pin_requests::{PAGE_BYTES, PinRequests};
pub use root_queue::{ProgressReport, RootQueue, Settlement};
pub use statistics::{COUNTED_ROOTS, LongestDue, Statistics};
pub use tokens::{AccessTokens, SigningKeys};

use async_trait::async_trait;
use pinrail_domain::ServiceId;
use pinrail_spec::Timestamp;

/// What of a storage's room for lists is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListUse {
    /// Lists that can be read at once.
    pub places: usize,
    /// Lists that are being read.
    pub in_use: usize,
    /// Lists that wait for one of them to end.
    pub waiting: usize,
}

/// Everything that one database keeps.
#[async_trait]
pub trait Storage: Accounts + AccessTokens + AuditLog + SigningKeys + Nodes + PinRequests + RootQueue {
    /// The database's clock, which leases, due times and heartbeats go by; on SQLite never below the greatest stored.
    async fn now(&self) -> Result<Timestamp, StorageError>;

    /// The service's random id, made when the schema was first migrated.
    async fn service_id(&self) -> Result<ServiceId, StorageError>;

    /// A number that moves with every commit, whichever process makes it; within this one it never runs backwards.
    ///
    /// What is read after asking for it holds for as long as it stays: it is to be asked first. `None` where the
    /// database has no answer that is much cheaper than a read.
    fn revision(&self) -> Option<u64> {
        None
    }

    /// How much of the room for lists is in use now; all zero where there is no limit.
    fn list_use(&self) -> ListUse {
        ListUse::default()
    }

    /// How the database and its queue stand at `now`, for an operator. A read of bounded counts and of counters: it
    /// walks over no requests and no more than [`COUNTED_ROOTS`] roots of a kind.
    async fn statistics(&self, now: Timestamp) -> Result<Statistics, StorageError>;

    /// Whether the database answers and accepts writes: a trivial read and a trivial durable write.
    async fn ready(&self) -> Result<(), StorageError>;

    /// Finish the writes that are under way, and accept no more. Dropping a storage does not wait for them.
    async fn close(&self) {}
}
