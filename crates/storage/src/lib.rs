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
mod tokens;

pub use accounts::{Accounts, NewAccount};
pub use audit::{AuditEntry, AuditFilter, AuditLog};
pub use error::StorageError;
pub use nodes::{NodeRegistration, Nodes};
pub use pin_requests::PinRequests;
pub use root_queue::{ProgressReport, RootQueue, Settlement};
pub use tokens::{AccessTokens, SigningKeys};

use async_trait::async_trait;
use pinrail_domain::ServiceId;
use pinrail_spec::Timestamp;

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

    /// Whether the database answers and accepts writes: a trivial read and a trivial durable write.
    async fn ready(&self) -> Result<(), StorageError>;
}
