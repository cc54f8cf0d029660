//! Looking at all that the store holds: its roots, its nodes, and a block to see that it reads.
use std::ops::Bound;
use std::sync::PoisonError;

use cid::multihash::Multihash;
use pinrail_domain::DagSize;
use redb::ReadableTable;

use crate::index::{BLOCKS, COUNTS, NODES, ROOTS, damaged, failed};
use crate::row::{Block, Hold, Node, Root};
use crate::{BlockStore, NodeKey, RootState, StoreError};

/// A page of roots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootPage {
    /// The roots that are held, in the order of their keys.
    pub roots: Vec<(NodeKey, RootState)>,
    /// Where the next page begins; none at the end.
    pub next: Option<NodeKey>,
}

/// A node as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The node.
    pub key: NodeKey,
    /// How many links, roots and holds lead to it.
    pub count: u64,
    /// Its links if it is committed, otherwise it is only linked to.
    pub links: Option<Vec<NodeKey>>,
    /// Whether its bytes are there.
    pub present: bool,
    /// The length of its block, zero while that is not known.
    pub size: u32,
}

impl BlockStore {
    /// What is known of a root that is held.
    pub fn root_state(&self, root: &NodeKey) -> Result<Option<RootState>, StoreError> {
        self.0.look(|snapshot| {
            let table = snapshot.open_table(ROOTS).map_err(failed)?;
            let row = table.get(root.to_bytes().as_slice()).map_err(failed)?;
            row.map_or(Ok(None), |row| state(row.value()))
        })
    }

    /// A page of at most `limit` roots behind `after`. It may be shorter while there are more, since
    /// released ones are left out.
    pub fn roots(&self, after: Option<&NodeKey>, limit: usize) -> Result<RootPage, StoreError> {
        self.0.look(|snapshot| {
            let table = snapshot.open_table(ROOTS).map_err(failed)?;
            let after = after.map(|after| after.to_bytes());
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = table.range::<&[u8]>((from, Bound::Unbounded)).map_err(failed)?;
            let mut page = RootPage::default();
            for row in rows.take(limit) {
                let (key, root) = row.map_err(failed)?;
                let key = NodeKey::from_bytes(key.value()).ok_or_else(|| damaged("a root row"))?;
                page.roots.extend(state(root.value())?.map(|state| (key, state)));
                page.next = Some(key);
            }
            Ok(page)
        })
    }

    /// Visits every node of one snapshot, in the order in which they were first heard of.
    pub fn scan(&self, mut visit: impl FnMut(Scanned)) -> Result<(), StoreError> {
        self.0.look(|snapshot| {
            let nodes = snapshot.open_table(NODES).map_err(failed)?;
            let counts = snapshot.open_table(COUNTS).map_err(failed)?;
            let read = |id: u64, bytes: &[u8]| Node::from_bytes(id, bytes).ok_or_else(|| damaged("a node row"));
            for row in nodes.iter().map_err(failed)? {
                let (id, row) = row.map_err(failed)?;
                let Node { key, known } = read(id.value(), row.value())?;
                let count = counts.get(id.value()).map_err(failed)?.map_or(0, |count| count.value());
                let mut scanned = Scanned { key, count, links: None, present: false, size: 0 };
                if let Some(known) = known {
                    let key_of = |link: &u64| {
                        let row = nodes.get(link).map_err(failed)?;
                        let row = row.ok_or_else(|| damaged("a link"))?;
                        Ok(read(*link, row.value())?.key)
                    };
                    let links = known.links.iter().map(key_of).collect::<Result<_, StoreError>>()?;
                    scanned.links = Some(links);
                    scanned.present = known.present;
                    scanned.size = known.size;
                }
                visit(scanned);
            }
            Ok(())
        })
    }

    /// Reads a block, another one each time, to see that blocks can be read. An empty store is fine.
    pub fn check_block(&self) -> Result<(), StoreError> {
        let mut checked = self.0.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.0.look(|snapshot| {
            let table = snapshot.open_table(BLOCKS).map_err(failed)?;
            let behind = (Bound::Excluded(checked.as_slice()), Bound::Unbounded);
            for range in [behind, (Bound::Unbounded, Bound::Unbounded)] {
                for row in table.range::<&[u8]>(range).map_err(failed)? {
                    let (key, row) = row.map_err(failed)?;
                    let block = Block::from_bytes(row.value());
                    if block.ok_or_else(|| damaged("a block row"))?.place.is_some() {
                        return Ok(Some(key.value().to_vec()));
                    }
                }
            }
            Ok(None)
        })?;
        if let Some(key) = next {
            let multihash = Multihash::from_bytes(&key).map_err(|_| damaged("a block row"))?;
            *checked = key;
            self.read(&multihash)?;
        }
        Ok(())
    }
}

fn state(row: &[u8]) -> Result<Option<RootState>, StoreError> {
    let root = Root::from_bytes(row).ok_or_else(|| damaged("a root row"))?;
    let (pinned, totals) = match root.hold {
        Hold::Pinned(totals) => (true, totals),
        Hold::Fetching | Hold::Failed(_) => (false, DagSize::default()),
        Hold::Released(_) => return Ok(None),
    };
    Ok(Some(RootState { epoch: root.epoch, pinned, totals }))
}
