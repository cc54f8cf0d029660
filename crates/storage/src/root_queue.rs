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
///
/// **Wanted.** A root is wanted by its requests. `refs` counts requests and holds: a hold keeps what is there but is
/// no reason to fetch, so an unfinished root with holds alone is not leased.
/// - The first request makes it *wanted afresh*, unless it is pinned: `queued`, `epoch + 1` (a new row begins at the
///   greater of `LeaseKey::epoch_before(now)` and the greatest epoch of any row that went, so that an epoch outlives
///   its row), no lease, no attempts, no failure, nothing received, no size, due now, `wanted_since = now`. So does any
///   request on a `failed` root, for all its requests, and whose holds were to end after that failure are to end no
///   more.
/// - Any further request on an unfinished one that is not leased makes it due at once (`due = min(due, now)`) and no
///   longer a retry, for its origins may be what was missing.
/// - When its last request goes while a hold stays: an unfinished one loses its lease, stops waiting, and `epoch + 1`;
///   any other stays as it is.
/// - When its last request and hold are gone: `releasing`, `epoch + 1`, no lease, no attempts, due now.
///
/// A lease that a request, a removal or a block took away is lost: its worker reads `Lost` and settles `LeaseLost`.
///
/// **Attempts** are counted when a lease is taken, and given back by `Wait` and `Pause`. A lease that expires or ends
/// with a restart leaves its attempt counted. Taking one turns `queued` to `pinning` and nothing turns it back but
/// being wanted afresh; it clears *waiting* and *paused* and makes the root a *retry*, which [`Self::wake`], a new
/// request, and a `Pause` undo, the last only for a full disk or before any attempt failed: a root that found no source
/// goes behind its account's new ones.
///
/// **Origins** are taken in turns ([`pinrail_domain::take_origins_in_turns`]): from each account that named some, and of
/// an account from each of its newest eight requests that do; the newest request (created, id) first, each request's in
/// the order sent, each address once, at most 60.
#[async_trait]
pub trait RootQueue: Send + Sync {
    /// Take up to `limit` due roots of `node` to pin, and beside them releases.
    ///
    /// Roots to pin are taken one after another, each from the account with the fewest running, then the longest not
    /// served by this node (never served first), then the least id; blocked accounts are passed over. *Running* counts unexpired
    /// leases of this node that were taken for the account, those of this call included; an account that runs
    /// `slots - slots / 4` is passed over, `slots` being the worker's roots at once. An account's own order is: no
    /// retries before retries, then by due, then by age (which row was made first). A shared root stands in the order of each
    /// account that wants it, and counts for the one that it was taken for, which this node serves at `now`.
    ///
    /// Roots of nodes that are not live are taken too and then belong to `node`; nothing is taken for a node that is
    /// retired or unknown. Releases, its own and those of retired nodes, are taken by due, then age, until `node` has
    /// `slots` of them at once; they come last and do not count for `limit`: a release is short, and must not wait for
    /// fetches of hours.
    ///
    /// A lease ends at `until`; a worker that needs longer renews it, one that died loses it. Two workers never hold
    /// the same root: one with a lease whose `until` is after `now` is not taken. Each lease raises the root's epoch.
    /// `previous` is, of the roots that requests of this one hold and that are pinned on this node, the youngest.
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
    ///
    /// `OverQuota` when of the accounts that want the root and are not blocked every one is over its bytes. A release
    /// that stands is `Wanted` with no origins.
    async fn read_leases(&self, leases: &[LeaseKey]) -> Result<Vec<LeaseNews>, StorageError>;

    /// Note how far fetches have come and count it in their accounts' bytes; those of lost leases are passed over.
    async fn report_progress(&self, reports: &[ProgressReport]) -> Result<(), StorageError>;

    /// Settle leases, each on its own: `LeaseLost` when it is another's or settled before, when its epoch is older
    /// than the root's, or when the verdict does not fit the task. An expired lease that nobody took settles.
    ///
    /// - `Pinned`: no failure, the size is what was received, and the holds that its requests own end.
    /// - `Failed`: the holds that its requests own end 24 hours after `now`.
    /// - `Retry`, `Wait`, `Pause`: due at their time; `Retry` and `Wait` note the failure, `Wait` makes it waiting,
    ///   `Pause` notes whether the disk is full. `Retry` and `Pause` fit a release too, which stays `releasing`. Where a
    ///   request came since the lease was taken, what is to be retried or to wait is due at `now`: the attempt may have
    ///   ended without asking the origins that the request named.
    /// - `Released`: the row goes, unless further nodes that are not retired leased the root to pin it: then the one
    ///   with the least id becomes its node, due at once, to release its copy too. If the root was wanted meanwhile
    ///   the lease is lost, since that took it away.
    ///
    /// The status of up to 500 of the root's requests changes in the same step, the rest follow by
    /// [`Self::copy_statuses`]; holds may end with the copy of their owner's status.
    async fn settle(
        &self,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Result<(), StorageError>>, StorageError>;

    /// Carry the next roots' states to up to 500 more of their requests; whether there is more to do.
    ///
    /// Every change of a root's state (also by a lease, a new request, or retiring a node) changes the copies of up to
    /// 500 of its requests in the same step and leaves the rest to this.
    async fn copy_statuses(&self) -> Result<bool, StorageError>;

    /// End holds whose time (24 hours after their owner's root failed) is at or before `now`; how many.
    async fn expire_holds(&self, now: Timestamp) -> Result<usize, StorageError>;

    /// Make waiting roots of `node` due at once, waiting no longer and no retry, because a peer that has them
    /// connected. Others are passed over.
    async fn wake(&self, node: &NodeId, roots: &[RootKey], now: Timestamp) -> Result<(), StorageError>;

    /// Up to `limit` roots of `node` that wait for a source, those after `after` in the order of (codec, multihash),
    /// for a worker that starts.
    async fn list_waiting(
        &self,
        node: &NodeId,
        after: Option<&RootKey>,
        limit: usize,
    ) -> Result<Vec<RootKey>, StorageError>;

    /// Return when another process may have changed something that concerns workers; may return early, and may miss
    /// what changed while nobody waited, so callers look again by a timer too.
    async fn changed(&self) -> Result<(), StorageError>;
}
