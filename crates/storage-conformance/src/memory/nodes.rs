//! IPFS nodes in memory, and which of them a root goes to.

use async_trait::async_trait;
use pinrail_domain::{Node, NodeId, RootState};
use pinrail_spec::{Multiaddr, RootKey, Timestamp};
use pinrail_storage::{NodeRegistration, Nodes, StorageError};

use super::MemoryStorage;
use super::tables::Tables;

#[async_trait]
impl Nodes for MemoryStorage {
    async fn register_node(&self, node: &NodeRegistration, now: Timestamp) -> Result<(), StorageError> {
        self.step_for_workers(now, |tables| {
            let retired = tables.nodes.get(&node.id).is_some_and(|known| known.retired);
            let row = Node {
                id: node.id,
                backend: node.backend,
                peer_id: node.peer_id.clone(),
                addresses: node.addresses.clone(),
                heartbeat: now,
                load: 0,
                retired,
            };
            tables.nodes.insert(node.id, row);
            for root in tables.roots.values_mut().filter(|root| root.node == node.id) {
                root.record.end_lease();
            }
        });
        Ok(())
    }

    async fn set_addresses(&self, id: &NodeId, addresses: &[Multiaddr], now: Timestamp) -> Result<(), StorageError> {
        self.step_at(now, |tables| {
            let node = tables.node_mut(id)?;
            node.addresses = addresses.to_vec();
            node.heartbeat = now;
            Ok(())
        })
    }

    async fn beat(&self, id: &NodeId, now: Timestamp) -> Result<(), StorageError> {
        self.step_at(now, |tables| {
            tables.node_mut(id)?.heartbeat = now;
            Ok(())
        })
    }

    async fn list_nodes(&self) -> Result<Vec<Node>, StorageError> {
        Ok(self.step(|tables| tables.nodes_with_load()))
    }

    async fn retire_node(&self, id: &NodeId, now: Timestamp) -> Result<(), StorageError> {
        self.step_for_workers(now, |tables| {
            tables.node_mut(id)?.retired = true;
            let own = tables.roots.iter().filter(|(_, root)| root.node == *id).map(|(key, _)| key.clone());
            for key in own.collect::<Vec<_>>() {
                tables.root_mut(&key).record.end_lease();
                match tables.roots[&key].record.state {
                    RootState::Pinned => {
                        tables.change(&key, |root| root.want_afresh(now));
                        tables.after_wanted_afresh(&key);
                    }
                    RootState::Releasing => tables.finish_release(&key, now),
                    RootState::Queued | RootState::Pinning | RootState::Failed => {}
                }
            }
            tables.note("node retire", &id, None, now);
            Ok(())
        })
    }
}

impl Tables {
    pub fn nodes_with_load(&self) -> Vec<Node> {
        let load = |node: &Node| {
            let own = self.roots.values().filter(|root| root.node == node.id && root.record.is_unfinished());
            own.count().try_into().unwrap_or(u64::MAX)
        };
        self.nodes.values().map(|node| Node { load: load(node), ..node.clone() }).collect()
    }

    pub fn is_live(&self, node: &NodeId, now: Timestamp) -> bool {
        self.nodes.get(node).is_some_and(|node| node.is_live(now))
    }

    pub fn is_retired(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_none_or(|node| node.retired)
    }

    fn node_mut(&mut self, id: &NodeId) -> Result<&mut Node, StorageError> {
        self.nodes.get_mut(id).ok_or_else(|| StorageError::Missing(format!("node {id}")))
    }

    /// The node for a new root: `preferred` if it is live, else the one that the domain chooses.
    pub fn choose_node(&self, preferred: Option<NodeId>, now: Timestamp) -> Result<NodeId, StorageError> {
        let preferred = preferred.filter(|node| self.is_live(node, now));
        let chosen = || Node::choose(&self.nodes_to_give_to(None), now).map(|node| node.id);
        preferred.or_else(chosen).ok_or(StorageError::NoNode)
    }

    /// Give an unfinished root, that nobody works on, to another node if its own is not live.
    pub fn move_from_silent_node(&mut self, key: &RootKey, now: Timestamp) {
        let root = &self.roots[key];
        if !root.record.is_unfinished() || root.record.is_leased(now) {
            return;
        }
        let node = Node::keep_or_move(&self.nodes_to_give_to(Some(root.node)), root.node, now);
        let root = self.root_mut(key);
        if root.node != node {
            root.node = node;
            root.record.end_lease();
        }
    }

    /// The nodes to choose from: all of them, or of those with another than `own` the one that all roots go to.
    fn nodes_to_give_to(&self, own: Option<NodeId>) -> Vec<Node> {
        let mut nodes = self.nodes_with_load();
        nodes.retain(|node| self.given_to.is_none_or(|given| node.id == given || Some(node.id) == own));
        nodes
    }
}
