//! The record of this node, of the schema `peer`.

use pinrail_ipfs_embedded::{Multiaddr, Node, PeerId};
use serde_json::{Value, json};

/// The protocol by which blocks are had from this node.
pub const BITSWAP: &str = "transport-bitswap";

/// A node, and where it can be dialled.
#[derive(Debug, Clone)]
pub struct Record {
    pub id: PeerId,
    /// Without `/p2p/<peer id>` at the end.
    pub addresses: Vec<Multiaddr>,
}

impl Record {
    /// The record of a node as it is announced now.
    pub fn of(node: &Node) -> Self {
        let id = node.peer_id();
        let bare = |mut address: Multiaddr| {
            address.pop();
            address
        };
        Self { id, addresses: node.addresses().into_iter().map(bare).collect() }
    }

    /// What is sent.
    pub fn to_json(&self) -> Value {
        json!({ "Schema": "peer", "ID": self.id.to_string(), "Addrs": self.addresses, "Protocols": [BITSWAP] })
    }
}
