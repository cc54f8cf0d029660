//! The tables, and the rows that are more than a domain type.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::{
    Account, AccountId, Node, NodeId, Progress, PublicKeyRecord, RequestId, RootRecord, TokenId, TokenRecord,
};
use pinrail_spec::{Pin, RootKey, Status, Timestamp};
use pinrail_storage::AuditEntry;

/// Where a request stands in the order of its account.
pub type RequestKey = (AccountId, Timestamp);

/// Everything that is kept.
#[derive(Clone, Default)]
pub struct Tables {
    /// The greatest time that a step was taken at.
    pub latest: Option<Timestamp>,
    pub accounts: BTreeMap<AccountId, AccountRow>,
    pub tokens: BTreeMap<TokenId, TokenRecord>,
    pub keys: BTreeMap<u32, PublicKeyRecord>,
    /// Their `load` is counted when it is asked for.
    pub nodes: BTreeMap<NodeId, Node>,
    pub audit_log: Vec<AuditEntry>,
    pub requests: BTreeMap<RequestKey, RequestRow>,
    pub request_ids: BTreeMap<RequestId, RequestKey>,
    pub roots: BTreeMap<RootKey, RootRow>,
    /// When each node last took a root for an account.
    pub served: BTreeMap<(NodeId, AccountId), Timestamp>,
    pub roots_made: u64,
    /// The greatest epoch of a root whose row went.
    pub released_epoch: u64,
    pub leases_made: u64,
    /// Where roots go that need a node, in place of the one that is chosen by its load.
    pub given_to: Option<NodeId>,
}

/// An account, its `usage` counted when it is asked for.
#[derive(Clone)]
pub struct AccountRow {
    pub account: Account,
    /// The `created` given out last.
    pub last_created: Option<Timestamp>,
}

/// A pin request.
#[derive(Clone)]
pub struct RequestRow {
    pub id: RequestId,
    pub pin: Pin,
    pub root: RootKey,
    /// The copy of the root's state that lists go by.
    pub status: Status,
    /// The roots that it holds, those of the requests that it replaced.
    pub holds: BTreeSet<RootKey>,
}

/// A root: how it stands, and what belongs to its row alone.
#[derive(Clone)]
pub struct RootRow {
    /// Which row was made first.
    pub age: u64,
    pub node: NodeId,
    pub record: RootRecord,
    pub requests: BTreeSet<RequestKey>,
    /// When each hold ends at the latest, once its owner's root failed; by the request that owns it.
    pub holds: BTreeMap<RequestId, Option<Timestamp>>,
    /// The account that its last lease was taken for; `None` for a release.
    pub leased_for: Option<AccountId>,
    /// What a fetch has received so far.
    pub received: Progress,
    /// The nodes that leased it to pin it, so each may have a copy.
    pub holders: BTreeSet<NodeId>,
    /// The requests whose copy of the state is older than the state.
    pub behind: BTreeSet<RequestKey>,
}
