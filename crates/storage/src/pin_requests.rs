//! Pin requests, as the API adds, shows, replaces and removes them.

use async_trait::async_trait;
use pinrail_domain::{AccountId, NewPinRequest, PinPage, PinRequest, RequestId};
use pinrail_spec::{PinFilter, Timestamp};

use crate::StorageError;

/// What is kept of pin requests. All of them belong to an account: a foreign id is as unknown as a made-up one.
#[async_trait]
pub trait PinRequests: Send + Sync {
    /// Accept a pin request: the request, its meta, the counts, its root (made or wanted once more, with a node
    /// chosen, due now) and the account's usage in one step. Durable when it returns.
    ///
    /// `created` is `max(now, last + 1 ms)` in the account, in the order of commits. On a pinned root the answer is
    /// `pinned`; a CID that holds its whole content is pinned by this step. Fails with `Quota`, `NoNode`, or
    /// `Missing` when the account is gone.
    async fn add_pin_request(&self, request: &NewPinRequest, now: Timestamp) -> Result<PinRequest, StorageError>;

    /// Replace `old` by `request` in one step: the old one is gone from every answer, its root held until the new
    /// root is pinned, the new request is deleted, or 24 hours after it failed. The new root goes to the old root's
    /// node. `None` when the account has no such request (any more): of two at once exactly one succeeds.
    async fn replace_pin_request(
        &self,
        old: &RequestId,
        request: &NewPinRequest,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError>;

    /// Remove a request; whether it was there. Its root becomes `releasing` when nothing wants it any more.
    async fn remove_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<bool, StorageError>;

    /// One request, its status the root's truth, with its place in the queue.
    async fn find_pin_request(
        &self,
        account: &AccountId,
        id: &RequestId,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError>;

    /// A page, the newest first, and the count of all that match (`before` and `after` included), from one snapshot.
    async fn list_pin_requests(
        &self,
        account: &AccountId,
        filter: &PinFilter,
        now: Timestamp,
    ) -> Result<PinPage, StorageError>;
}
