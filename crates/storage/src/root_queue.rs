//! Roots as workers take, report and settle them. The root's row is the job.

use async_trait::async_trait;
use pinrail_domain::{Lease, LeaseKey, LeaseNews, NodeId, Progress, Verdict};
use pinrail_spec::{RootKey, Timestamp};

use crate::StorageError;

/// How far the fetch under a lease has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressReport {
    /// The lease.
    pub lease: LeaseKey,
    /// What is durably received.
    pub progress: Progress,
}

/// What became of the root under a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The lease.
    pub lease: LeaseKey,
    /// What became of it.
    pub verdict: Verdict,
}

/// The roots that workers work on.
///
/// A lease is held while its token stands in the root's row and its epoch is the root's. `now` is the database's.
#[async_trait]
pub trait RootQueue: Send + Sync {
    /// Take up to `limit` due roots of `node`: accounts in the order of fewest running, then longest not served, and
    /// each account's roots in its own order, fresh ones before retries; releases beside them.
    ///
    /// A lease ends at `until`; a worker that needs longer renews it, one that died loses it. Two workers never hold
    /// the same root. No account gets beyond three quarters of `slots`, the worker's roots at once; roots that only
    /// blocked accounts want are passed over. Roots of a node that has been silent too long are given to others.
    async fn lease_due(
        &self,
        node: &NodeId,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
        slots: usize,
    ) -> Result<Vec<Lease>, StorageError>;

    /// Make leases end at `until`, those whose token is unchanged even if they expired; which of them still stand,
    /// in the order asked.
    async fn renew(&self, leases: &[LeaseKey], until: Timestamp) -> Result<Vec<bool>, StorageError>;

    /// What a worker has to know of its leases: new origins, cancellation, a spent quota. In the order asked.
    async fn read_leases(&self, leases: &[LeaseKey]) -> Result<Vec<LeaseNews>, StorageError>;

    /// Note how far fetches have come and count it in their accounts' bytes; those of lost leases are passed over.
    async fn report_progress(&self, reports: &[ProgressReport]) -> Result<(), StorageError>;

    /// Settle leases, each on its own: `LeaseLost` when it is another's or its epoch is older than the root's.
    ///
    /// The status of up to 500 of the root's requests changes in the same step, the rest follow by
    /// [`Self::copy_statuses`]. `Released` deletes the root if it is still unwanted, else leaves it queued.
    /// `Pinned` and `Failed` end the holds of requests that replaced others (`Failed` after 24 hours).
    async fn settle(
        &self,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Result<(), StorageError>>, StorageError>;

    /// Carry the next roots' states to up to 500 more of their requests; whether there is more to do.
    async fn copy_statuses(&self) -> Result<bool, StorageError>;

    /// End holds that have outlived their time at `now`; how many.
    async fn expire_holds(&self, now: Timestamp) -> Result<usize, StorageError>;

    /// Make waiting roots of `node` due at once, because a peer that has them connected.
    async fn wake(&self, node: &NodeId, roots: &[RootKey], now: Timestamp) -> Result<(), StorageError>;

    /// Up to `limit` roots of `node` that wait for a source, those after `after`, for a worker that starts.
    async fn list_waiting(
        &self,
        node: &NodeId,
        after: Option<&RootKey>,
        limit: usize,
    ) -> Result<Vec<RootKey>, StorageError>;

    /// Return when another process may have changed something that concerns workers; may return early.
    async fn changed(&self) -> Result<(), StorageError>;
}
