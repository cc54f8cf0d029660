//! Pin requests: what clients own.

use pinrail_spec::{Multiaddr, Pin, Status, Timestamp};

use crate::{AccountId, RequestId, RootView, TokenId};

/// A pin that was authorized and checked, ready to be accepted within the account's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPinRequest {
    /// Its identifier.
    pub id: RequestId,
    /// Who owns it.
    pub account: AccountId,
    /// The token it was asked with, for the record: pins belong to the account.
    pub token: TokenId,
    /// What was sent, `origins` reduced to the first 20 usable ones.
    pub pin: Pin,
}

/// The bytes that a request for `pin` counts for in its account: those of its name, and of its origins and meta as JSON.
pub fn carried_bytes(pin: &Pin) -> u64 {
    let json =
        |empty: bool, text: serde_json::Result<String>| text.map_or(0, |text| if empty { 0 } else { text.len() });
    let origins = pin.origins.iter().map(Multiaddr::as_str).collect::<Vec<_>>();
    let bytes = pin.name.as_ref().map_or(0, String::len)
        + json(origins.is_empty(), serde_json::to_string(&origins))
        + json(pin.meta.is_empty(), serde_json::to_string(&pin.meta));
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The place in the account's own queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuePosition {
    /// Counted from 1.
    At(u32),
    /// Beyond what is counted (1,000).
    Beyond,
}

/// A pin request as it is stored, with what its root tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRequest {
    /// Its identifier.
    pub id: RequestId,
    /// Who owns it.
    pub account: AccountId,
    /// When it was accepted, unique in the account and in the order of commits.
    pub created: Timestamp,
    /// What was asked for.
    pub pin: Pin,
    /// Where it stands: the root's truth for one request, the copy (seconds behind at most) in lists.
    pub status: Status,
    /// What its root tells.
    pub root: RootView,
    /// Where the client can hand over the data: the addresses of the root's node.
    pub delegates: Vec<Multiaddr>,
    /// Its place in the account's queue; only for one request, while it is queued.
    pub queue_position: Option<QueuePosition>,
    /// Until when the root of the request that it replaced is held at most, now that its own has failed.
    pub held_until: Option<Timestamp>,
    /// When it stood so, by the clock that its root's due time is of.
    pub as_of: Timestamp,
}

/// One page of pin requests and how many match in all, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinPage {
    /// How many match, `before` and `after` included.
    pub count: u64,
    /// The newest first.
    pub requests: Vec<PinRequest>,
}
