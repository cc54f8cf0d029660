//! Pin requests, as the API adds, shows, replaces and removes them.

use async_trait::async_trait;
use pinrail_domain::{AccountId, NewPinRequest, PinPage, PinRequest, RequestId};
use pinrail_spec::{PinFilter, Timestamp};

use crate::StorageError;

/// A page of a list ends with the request that brings names, meta and origins of its requests to this many bytes.
pub const PAGE_BYTES: usize = 1 << 20;

/// What is kept of pin requests. All of them belong to an account: a foreign id is as unknown as a made-up one.
///
/// In the answers `delegates` are the addresses of the root's node (of a request that is added or replaced while the
/// node moves, those that it had when the step began), `root.due` is set for a `pinning` root that no
/// unexpired lease holds, and `root.node_silent` when its node is not live, whatever the state;
/// `held_until` is the greatest end of the holds that the request owns, if they have one.
///
/// **Usage.** `requests` counts the account's requests; `queued_roots` the distinct roots of its requests that are
/// `queued` or `pinning`; `bytes` the distinct roots of its requests and holds, each once: a `pinned` one at its size,
/// a `queued` or `pinning` one at what was received, a `failed` one at nothing. Holds count, or one could keep any
/// amount by replacing pins with what nobody has.
///
/// **Limits** are judged in the step, with an old request that is replaced gone and its root held, in this order:
/// `Limits::admit_same_root` with the account's requests for this root; then `Limits::admit`, `new_root` when the root
/// is unfinished after the step and was not among the account's `queued_roots` before it; then, when it is pinned
/// after the step and neither a request nor a hold of the account was on it, `Limits::admit_bytes` with its size.
/// Access and blocks are judged by the caller.
///
/// **The node** of a new root is `Node::choose`. A root that exists keeps its node while that is live. When it is not
/// live and the root is unfinished and not leased, it goes to the least loaded live one; with no live one it stays,
/// or, if its node is retired, goes where `Node::choose` says. A pinned root keeps its node. `NoNode` when every node
/// is retired or none ever registered.
#[async_trait]
pub trait PinRequests: Send + Sync {
    /// Accept a pin request: the request, its meta, the counts, its root (made or wanted once more, with a node
    /// chosen, due now) and the account's usage in one step. Durable when it returns.
    ///
    /// `created` is `max(now, last + 1 ms)` in the account, in the order of commits; `last` outlives the request. On
    /// a pinned root the answer is `pinned`; a CID that holds its whole content is pinned by this step (one block of
    /// its digest's length). Fails with `Missing` when the account is gone, `Conflict` when the id is taken, `Quota`,
    /// or `NoNode`, judged in this order. `queue_position` is left to [`Self::find_pin_request`].
    async fn add_pin_request(&self, request: &NewPinRequest, now: Timestamp) -> Result<PinRequest, StorageError>;

    /// Replace `old` by `request` in one step: the old one is gone from every answer, its root held until the new
    /// root is pinned, the new request is deleted, or 24 hours after it failed. `None` when the account has no such
    /// request (any more): of two at once exactly one succeeds.
    ///
    /// A new root goes to the old root's node if that is live, else as in [`Self::add_pin_request`]. Limits are
    /// judged with the old request gone and its root held. Holds that the old request owned pass to the new one, so
    /// that of A, B and C, each replaced by the next, A stays until C is there; one that was to end after a failure
    /// is to end no more. A hold belongs to (request, root), so that one root is held once by one request. With the
    /// same root nothing is held anew, and the root is never unwanted. When the new root is pinned already, the old
    /// one and all holds go in this step.
    async fn replace_pin_request(
        &self,
        old: &RequestId,
        request: &NewPinRequest,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError>;

    /// Remove a request and end the holds that it owned; whether it was there. A root that loses its last request
    /// and hold becomes `releasing`.
    async fn remove_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<bool, StorageError>;

    /// One request, its status the root's truth. `queue_position` is set while that is `queued`: its place, from 1,
    /// among the account's distinct `queued` roots by due, then age (which row was made first), up to 1,000.
    async fn find_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError>;

    /// A page, the newest first, and the count of all that match (`before` and `after` included), from one snapshot.
    ///
    /// A page ends at the filter's limit or at [`PAGE_BYTES`], so it may be short of the limit and have a greater count;
    /// it is empty only if nothing matches. What one account lists never takes all that others could list with, and a
    /// list that is not awaited any more is given up. `Busy` when the account's share stays taken or it takes too long.
    ///
    /// The status that is shown and filtered by is the copy (see [`crate::RootQueue::copy_statuses`]). A request
    /// without a name matches no name filter.
    async fn list_pin_requests(
        &self,
        account: &AccountId,
        filter: &PinFilter,
        now: Timestamp,
    ) -> Result<PinPage, StorageError>;
}
