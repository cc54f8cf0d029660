//! DAGs that every run of this program makes alike: one provides what another wants.

use clap::Args;
use serde_json::json;

use crate::support::{Block, TestNode, flat};

/// Raw leaves under one dag-pb node.
#[derive(Args, Clone)]
pub struct Dag {
    /// The number of leaves.
    #[arg(long)]
    leaves: usize,

    /// The bytes of each.
    #[arg(long)]
    size: usize,

    /// Makes the DAG differ from one of the same shape.
    #[arg(long, default_value_t = 1)]
    salt: u64,
}

impl Dag {
    /// All blocks, the root last.
    pub fn blocks(&self) -> Vec<Block> {
        flat(self.leaves, self.size, self.salt)
    }

    /// Provide it, and print its root and the addresses.
    pub async fn provide(self) {
        let blocks = self.blocks();
        let root = blocks[self.leaves].0;
        let provider = TestNode::with(root, &blocks).await;
        println!("{}", json!({ "cid": root.to_string(), "addresses": provider.node.addresses() }));
        std::future::pending::<()>().await;
    }
}
