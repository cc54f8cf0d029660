//! The IPFS nodes that hold roots.

use async_trait::async_trait;
use pinrail_domain::{Backend, Node, NodeId};
use pinrail_spec::{Multiaddr, Timestamp};

use crate::StorageError;

/// What a worker says of its node when it starts, and again when its addresses change.
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
    /// Add the node, or bring it up to date; counts as a sign of life. Old leases of the node end at once,
    /// so that a restarted worker does not wait for its own.
    async fn register_node(&self, node: &NodeRegistration, now: Timestamp) -> Result<(), StorageError>;

    /// A sign of life; `Missing` when the node was never registered.
    async fn beat(&self, id: &NodeId, now: Timestamp) -> Result<(), StorageError>;

    /// All nodes, retired ones too, in the order of their ids.
    async fn list_nodes(&self) -> Result<Vec<Node>, StorageError>;

    /// Take a node out of service: its roots go to others, its pinned ones are queued again.
    async fn retire_node(&self, id: &NodeId, now: Timestamp) -> Result<(), StorageError>;
}
