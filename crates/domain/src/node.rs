//! The IPFS nodes that hold roots, and the choice among them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use pinrail_spec::{Multiaddr, Timestamp};

use crate::NodeId;

/// A node that has been silent for this long gives its unfinished roots to others.
pub const SILENCE: Duration = Duration::from_mins(5);

/// The most addresses of one node that a client is given: Kubo dials them one after another.
const DELEGATES: usize = 4;

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The libp2p node inside a worker.
    Embedded,
    /// A Kubo node over its RPC.
    Kubo,
    /// An IPFS Cluster over its REST API.
    Cluster,
}

/// A node as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its identifier, made when it first registered.
    pub id: NodeId,
    /// Its kind.
    pub backend: Backend,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Where clients can dial it, each ending in `/p2p/<peer id>`, the best first.
    pub addresses: Vec<Multiaddr>,
    /// Its last sign of life, by the database's clock.
    pub heartbeat: Timestamp,
    /// Unfinished roots that it was given.
    pub load: u64,
    /// Taken out of service by the operator.
    pub retired: bool,
}

impl Node {
    /// Whether it gave a sign of life within [`SILENCE`] and is in service.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.retired && self.was_heard(now)
    }

    fn was_heard(&self, now: Timestamp) -> bool {
        now.since(self.heartbeat) < SILENCE
    }

    /// The addresses to hand to clients, at most four.
    pub fn delegates(&self) -> &[Multiaddr] {
        &self.addresses[..self.addresses.len().min(DELEGATES)]
    }

    /// Where the nodes of a worker's fellows can be dialled: the other embedded ones that were heard of lately, which hold
    /// what was pinned through them. One that is retired is still a fellow: what it held is wanted afresh elsewhere, and
    /// it may be the only one that has it.
    pub fn fellows(nodes: &[Self], own: NodeId, now: Timestamp) -> Vec<Multiaddr> {
        let is_fellow = |node: &&Self| node.id != own && node.backend == Backend::Embedded && node.was_heard(now);
        nodes.iter().filter(is_fellow).flat_map(|node| node.addresses.iter().cloned()).collect()
    }

    /// The node that a new root is given to: the least loaded live one, else the one heard of last.
    pub fn choose(nodes: &[Self], now: Timestamp) -> Option<&Self> {
        let live = nodes.iter().filter(|node| node.is_live(now)).min_by_key(|node| (node.load, node.id));
        live.or_else(|| nodes.iter().filter(|node| !node.retired).max_by_key(|node| node.heartbeat))
    }

    /// The node that an unfinished root of `own` belongs to while nobody has leased it.
    ///
    /// It stays with a live node. From a silent one it moves to a live one, from one that is retired or unknown to any.
    pub fn keep_or_move(nodes: &[Self], own: NodeId, now: Timestamp) -> NodeId {
        let node = nodes.iter().find(|node| node.id == own);
        if node.is_some_and(|node| node.is_live(now)) {
            return own;
        }
        let is_gone = node.is_none_or(|node| node.retired);
        let chosen = Self::choose(nodes, now).filter(|chosen| is_gone || chosen.is_live(now));
        chosen.map_or(own, |chosen| chosen.id)
    }
}
