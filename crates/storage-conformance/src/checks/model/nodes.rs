//! Operations on nodes: they start, are heard, move, fall silent by not being heard, and retire.

use pinrail_domain::{Backend, NodeId};
use pinrail_spec::Multiaddr;
use pinrail_storage::{NodeRegistration, Storage};
use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_oneof};
use proptest::sample::select;

use super::answer::{Answer, Outcome};
use super::client::Moments;
use super::values::any_addresses;
use crate::samples::registration;

#[derive(Debug, Clone)]
pub enum NodeOperation {
    Register { node: u8, addresses: Vec<Multiaddr> },
    SetAddresses { node: u8, addresses: Vec<Multiaddr> },
    Beat { node: u8 },
    List,
    Retire { node: u8 },
}

/// Mostly signs of life.
pub fn any_node_operation() -> BoxedStrategy<NodeOperation> {
    use NodeOperation::{Beat, List, Register, Retire, SetAddresses};
    prop_oneof![
        3 => (any_node(), any_addresses()).prop_map(|(node, addresses)| Register { node, addresses }),
        1 => (any_node(), any_addresses()).prop_map(|(node, addresses)| SetAddresses { node, addresses }),
        12 => any_node().prop_map(|node| Beat { node }),
        3 => Just(List),
        1 => any_node().prop_map(|node| Retire { node }),
    ]
    .boxed()
}

/// The number of a node, the first two more often.
pub fn any_node() -> impl Strategy<Value = u8> {
    select(vec![1, 1, 1, 1, 2, 2, 2, 3, 4])
}

/// The operation that a worker begins with.
pub fn register(node: u8) -> NodeOperation {
    NodeOperation::Register { node, addresses: registration(node).addresses }
}

/// The id of a node by its number; a greater number is a greater id.
pub fn node_id(node: u8) -> NodeId {
    registration(node).id
}

impl NodeOperation {
    pub async fn take(&self, storage: &dyn Storage, moments: Moments) -> Outcome {
        let now = moments.stored;
        match self {
            Self::Register { node, addresses } => {
                let backend = if *node == 3 { Backend::Kubo } else { Backend::Embedded };
                let node = NodeRegistration { backend, addresses: addresses.clone(), ..registration(*node) };
                storage.register_node(&node, now).await?;
            }
            Self::SetAddresses { node, addresses } => storage.set_addresses(&node_id(*node), addresses, now).await?,
            Self::Beat { node } => storage.beat(&node_id(*node), now).await?,
            Self::List => return Ok(Answer::Nodes(storage.list_nodes().await?)),
            Self::Retire { node } => storage.retire_node(&node_id(*node), now).await?,
        }
        Ok(Answer::Done)
    }
}
