//! Walking a DAG over what is committed, from the index alone.
use std::collections::HashMap;

use redb::{ReadOnlyTable, ReadTransaction};

use crate::index::{BLOCKS, NODES, damaged, failed};
use crate::key::multihash_bytes;
use crate::row::{Block, Node};
use crate::{NodeKey, NodeLinks, StoreError, Walk};

/// One snapshot of the nodes.
pub(crate) struct Nodes {
    blocks: ReadOnlyTable<&'static [u8], &'static [u8]>,
    nodes: ReadOnlyTable<u64, &'static [u8]>,
}

impl Nodes {
    pub fn new(transaction: &ReadTransaction) -> Result<Nodes, StoreError> {
        Ok(Nodes {
            blocks: transaction.open_table(BLOCKS).map_err(failed)?,
            nodes: transaction.open_table(NODES).map_err(failed)?,
        })
    }

    /// The row of a multihash.
    pub fn block(&self, multihash: &cid::multihash::Multihash<64>) -> Result<Option<Block>, StoreError> {
        let key = multihash_bytes(multihash);
        let Some(row) = self.blocks.get(key.as_slice()).map_err(failed)? else {
            return Ok(None);
        };
        Block::from_bytes(row.value()).map(Some).ok_or_else(|| damaged("a block row"))
    }

    /// The row of a node.
    pub fn node(&self, id: u64) -> Result<Node, StoreError> {
        let row = self.nodes.get(id).map_err(failed)?;
        let node = row.and_then(|row| Node::from_bytes(id, row.value()));
        node.ok_or_else(|| damaged("a node row"))
    }

    /// A committed node's links.
    pub fn links(&self, key: &NodeKey) -> Result<Option<NodeLinks>, StoreError> {
        let block = self.block(&key.multihash)?;
        let Some(reading) = block.as_ref().and_then(|block| block.reading(key.codec)) else {
            return Ok(None);
        };
        let Some(known) = self.node(reading.id)?.known.filter(|known| known.present) else {
            return Ok(None);
        };
        let links = known.links.iter().map(|link| Ok(self.node(*link)?.key));
        Ok(Some(NodeLinks { links: links.collect::<Result<_, StoreError>>()?, size: known.size }))
    }

    /// Walks the DAG under a root depth first, in the order of the links, every node once.
    ///
    /// Takes a bit for each node of the DAG, and eight bytes for each that is still to be visited.
    pub fn walk(&self, root: &NodeKey, hole_limit: usize) -> Result<Walk, StoreError> {
        let mut walk = Walk::default();
        if root.is_inline_leaf() {
            return Ok(walk);
        }
        let block = self.block(&root.multihash)?;
        let Some(reading) = block.as_ref().and_then(|block| block.reading(root.codec)) else {
            walk.holes.push(*root);
            return Ok(walk);
        };
        let mut seen = Seen::default();
        seen.insert(reading.id);
        let mut ahead = vec![reading.id];
        while let Some(id) = ahead.pop() {
            let Node { key, known } = self.node(id)?;
            let present = known.as_ref().is_some_and(|known| known.present);
            if !present && walk.holes.len() < hole_limit {
                walk.holes.push(key);
            }
            let Some(known) = known else {
                continue;
            };
            if present && key.identity_bytes().is_none() {
                walk.totals.blocks += 1;
                walk.totals.bytes += u64::from(known.size);
            }
            ahead.extend(known.links.iter().rev().filter(|link| seen.insert(**link)));
        }
        Ok(walk)
    }
}

/// A set of nodes' numbers. Those of one DAG were given together, so that it takes about a bit for
/// each.
#[derive(Default)]
struct Seen(HashMap<u64, [u64; 16]>);

impl Seen {
    /// Whether the number was new.
    fn insert(&mut self, id: u64) -> bool {
        let words = self.0.entry(id / 1024).or_default();
        let word = &mut words[usize::try_from(id / 64 % 16).expect("under 16")];
        let bit = 1 << (id % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
