//! The IPFS nodes that hold roots.

use async_trait::async_trait;
use pinrail_domain::{Backend, Node, NodeId};
use pinrail_spec::{Multiaddr, Timestamp};

use crate::StorageError;

/// What a worker says of its node when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRegistration {
    /// Its identifier, kept in the node's data folder.
    pub id: NodeId,
    /// Its kind.
    pub backend: Backend,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Where clients can dial it, each ending in `/p2p/<peer id>`, the best first; at least one.
    pub addresses: Vec<Multiaddr>,
}

/// What is kept of nodes.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Add the node, or bring it up to date; counts as a sign of life. A retired node stays retired.
    ///
    /// For a worker that starts: leases of the node end at once, so that it does not wait for those of its earlier
    /// life. Their attempts stay counted, for it may be a root that brought it down.
    async fn register_node(&self, node: &NodeRegistration, now: Timestamp) -> Result<(), StorageError>;

    /// Change where clients can dial a running node, at least one address; its leases go on. Counts as a sign of
    /// life; `Missing` when the node was never registered.
    async fn set_addresses(&self, id: &NodeId, addresses: &[Multiaddr], now: Timestamp) -> Result<(), StorageError>;

    /// A sign of life; `Missing` when the node was never registered.
    async fn beat(&self, id: &NodeId, now: Timestamp) -> Result<(), StorageError>;

    /// All nodes, retired ones too, in the order of their ids. `load` counts their `queued` and `pinning` roots.
    async fn list_nodes(&self) -> Result<Vec<Node>, StorageError>;

    /// Take a node out of service for good; `Missing` when it was never registered.
    ///
    /// Its leases end. Its unfinished roots go to others, each when another node leases it or a new request comes;
    /// its pinned ones are wanted afresh (see [`crate::RootQueue`]) and go the same way. What it was to release is
    /// gone with it, so those rows go, unless another node has a copy to release.
    async fn retire_node(&self, id: &NodeId, now: Timestamp) -> Result<(), StorageError>;
}
