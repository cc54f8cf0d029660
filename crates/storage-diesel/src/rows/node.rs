//! A node's row in the domain's words.

use pinrail_domain::{Node, NodeId};

use super::NodeRow;
use crate::convert::{addresses, backend, from_column, id, moment};
use crate::error::TxResult;

impl NodeRow {
    /// The node without its addresses, which take long to read and which only answers need.
    pub(crate) fn without_addresses(&self) -> TxResult<Node> {
        Ok(Node {
            id: NodeId::from_uuid(id(&self.id)?),
            backend: backend(&self.backend)?,
            peer_id: self.peer_id.clone(),
            addresses: Vec::new(),
            heartbeat: moment(self.heartbeat),
            load: from_column(self.load),
            retired: self.retired,
        })
    }

    pub(crate) fn node(&self) -> TxResult<Node> {
        Ok(Node { addresses: addresses(&self.addresses)?, ..self.without_addresses()? })
    }
}
