//! One transaction's changes: rows are read once, changed in memory, and written in key order.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use cid::multihash::Multihash;
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use crate::index::{
    BLOCKS, COUNTS, DROPS, DUE, HOLDS, NEXT_NODE, NEXT_SEGMENT, NODES, NUMBERS, PUNCHES, ROOTS, SEGMENTS, WORK,
    damaged, failed,
};
use crate::key::{identity_bytes, multihash_bytes};
use crate::row::{Block, Node, Place, Reading, Root};
use crate::{NodeKey, StoreError};

/// Dead records with this much to give back are punched out of their segment; under it, what
/// remains of the pages is not worth the call.
const PUNCH_FROM: u64 = 64 << 10;

/// What a transaction has read and changed so far. Nothing is in the tables before
/// [`Change::flush`], except holds, due times and punches, which are only ever added to or taken
/// from.
pub(crate) struct Change<'txn> {
    blocks: Table<'txn, &'static [u8], &'static [u8]>,
    nodes: Table<'txn, u64, &'static [u8]>,
    counts: Table<'txn, u64, u64>,
    roots: Table<'txn, &'static [u8], &'static [u8]>,
    segments: Table<'txn, u32, (u64, u64, u64)>,
    numbers: Table<'txn, &'static str, u64>,
    /// Nodes that collection looks at.
    pub work: Table<'txn, u64, ()>,
    /// Nodes held by roots.
    pub holds: Table<'txn, (u64, u64), ()>,
    /// Roots whose holds go.
    pub drops: Table<'txn, u64, ()>,
    /// When roots are looked at.
    pub due: Table<'txn, (u64, &'static [u8]), ()>,
    /// Disk to give back.
    pub punches: Table<'txn, (u32, u64), u64>,
    block_rows: HashMap<Multihash<64>, Row<Block>>,
    node_rows: BTreeMap<u64, Option<Node>>,
    count_rows: BTreeMap<u64, u64>,
    root_rows: HashMap<NodeKey, Row<Option<Root>>>,
    segment_rows: BTreeMap<u32, Usage>,
    next_node: u64,
    next_segment: u32,
    /// By how many bytes the live records grew or shrank.
    pub growth: i64,
    /// Nodes that lost their last count in this transaction.
    pub uncounted: BTreeSet<u64>,
}

struct Row<T> {
    value: T,
    changed: bool,
}

/// How much of a segment is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The committed length.
    pub end: u64,
    /// Bytes of live records.
    pub bytes: u64,
    /// Live records.
    pub records: u64,
}

impl<'txn> Change<'txn> {
    /// Begins with nothing changed.
    pub fn new(transaction: &'txn WriteTransaction) -> Result<Change<'txn>, StoreError> {
        let numbers = transaction.open_table(NUMBERS).map_err(failed)?;
        let number =
            |name| -> Result<u64, StoreError> { Ok(numbers.get(name).map_err(failed)?.map_or(0, |next| next.value())) };
        let next_node = number(NEXT_NODE)?;
        let next_segment = number(NEXT_SEGMENT)?;
        let next_segment = u32::try_from(next_segment).map_err(|_| damaged("a segment's number"))?;
        Ok(Change {
            blocks: transaction.open_table(BLOCKS).map_err(failed)?,
            nodes: transaction.open_table(NODES).map_err(failed)?,
            counts: transaction.open_table(COUNTS).map_err(failed)?,
            roots: transaction.open_table(ROOTS).map_err(failed)?,
            segments: transaction.open_table(SEGMENTS).map_err(failed)?,
            work: transaction.open_table(WORK).map_err(failed)?,
            holds: transaction.open_table(HOLDS).map_err(failed)?,
            drops: transaction.open_table(DROPS).map_err(failed)?,
            due: transaction.open_table(DUE).map_err(failed)?,
            punches: transaction.open_table(PUNCHES).map_err(failed)?,
            numbers,
            block_rows: HashMap::new(),
            node_rows: BTreeMap::new(),
            count_rows: BTreeMap::new(),
            root_rows: HashMap::new(),
            segment_rows: BTreeMap::new(),
            next_node,
            next_segment,
            growth: 0,
            uncounted: BTreeSet::new(),
        })
    }

    /// The row of a multihash, to read.
    pub fn block(&mut self, multihash: &Multihash<64>) -> Result<&Block, StoreError> {
        Ok(&self.block_row(multihash)?.value)
    }

    /// The row of a multihash, to change.
    pub fn block_mut(&mut self, multihash: &Multihash<64>) -> Result<&mut Block, StoreError> {
        let row = self.block_row(multihash)?;
        row.changed = true;
        Ok(&mut row.value)
    }

    fn block_row(&mut self, multihash: &Multihash<64>) -> Result<&mut Row<Block>, StoreError> {
        use std::collections::hash_map::Entry;
        match self.block_rows.entry(*multihash) {
            Entry::Occupied(row) => Ok(row.into_mut()),
            Entry::Vacant(vacant) => {
                let bytes = multihash_bytes(multihash);
                let value = match self.blocks.get(bytes.as_slice()).map_err(failed)? {
                    Some(row) => Block::from_bytes(row.value()).ok_or_else(|| damaged("a block row"))?,
                    None => Block::default(),
                };
                Ok(vacant.insert(Row { value, changed: false }))
            }
        }
    }

    /// The number of a node, which gets one if it has none, and whether it is committed.
    pub fn number(&mut self, key: &NodeKey) -> Result<(u64, bool), StoreError> {
        let next = self.next_node;
        let inline = identity_bytes(&key.multihash).is_some();
        let block = self.block(&key.multihash)?;
        let present = inline || block.place.is_some();
        if let Some(reading) = block.reading(key.codec) {
            return Ok((reading.id, present && reading.known));
        }
        let reading = Reading { codec: key.codec, id: next, known: false };
        self.block_mut(&key.multihash)?.nodes.push(reading);
        self.node_rows.insert(next, Some(Node { key: *key, known: None }));
        self.count_rows.insert(next, 0);
        self.next_node += 1;
        Ok((next, false))
    }

    /// The row of a node.
    pub fn node(&mut self, id: u64) -> Result<Option<Node>, StoreError> {
        if let Some(row) = self.node_rows.get(&id) {
            return Ok(row.clone());
        }
        let Some(row) = self.nodes.get(id).map_err(failed)? else {
            return Ok(None);
        };
        let node = Node::from_bytes(id, row.value()).ok_or_else(|| damaged("a node row"))?;
        Ok(Some(node))
    }

    /// The row of a node that this transaction changed.
    pub fn changed_node(&self, id: u64) -> Option<&Node> {
        self.node_rows.get(&id)?.as_ref()
    }

    /// Replaces the row of a node.
    pub fn set_node(&mut self, id: u64, node: Option<Node>) {
        self.node_rows.insert(id, node);
    }

    /// How many links and roots lead to a node.
    pub fn count(&mut self, id: u64) -> Result<u64, StoreError> {
        if let Some(count) = self.count_rows.get(&id) {
            return Ok(*count);
        }
        Ok(self.counts.get(id).map_err(failed)?.map_or(0, |count| count.value()))
    }

    /// One more leads to the node.
    pub fn raise(&mut self, id: u64) -> Result<(), StoreError> {
        let count = self.count(id)?;
        self.count_rows.insert(id, count + 1);
        Ok(())
    }

    /// One fewer leads to the node; at none collection looks at it.
    pub fn lower(&mut self, id: u64) -> Result<(), StoreError> {
        let count = self.count(id)?.checked_sub(1).ok_or_else(|| damaged("a count"))?;
        self.count_rows.insert(id, count);
        if count == 0 {
            self.uncounted.insert(id);
        }
        Ok(())
    }

    /// The row of a root.
    pub fn root(&mut self, key: &NodeKey) -> Result<Option<Root>, StoreError> {
        if let Some(row) = self.root_rows.get(key) {
            return Ok(row.value);
        }
        let value = match self.roots.get(key.to_bytes().as_slice()).map_err(failed)? {
            Some(row) => Some(Root::from_bytes(row.value()).ok_or_else(|| damaged("a root row"))?),
            None => None,
        };
        self.root_rows.insert(*key, Row { value, changed: false });
        Ok(value)
    }

    /// Replaces the row of a root.
    pub fn set_root(&mut self, key: &NodeKey, root: Option<Root>) {
        self.root_rows.insert(*key, Row { value: root, changed: true });
    }

    /// The roots that were changed, for the log.
    pub fn changed_roots(&self) -> impl Iterator<Item = (&NodeKey, Option<Root>)> {
        self.root_rows.iter().filter(|(_, row)| row.changed).map(|(key, row)| (key, row.value))
    }

    /// How much of a segment is in use.
    pub fn usage(&mut self, segment: u32) -> Result<&mut Usage, StoreError> {
        use std::collections::btree_map::Entry;
        match self.segment_rows.entry(segment) {
            Entry::Occupied(row) => Ok(row.into_mut()),
            Entry::Vacant(vacant) => {
                let row = self.segments.get(segment).map_err(failed)?;
                let (end, bytes, records) = row.map_or((0, 0, 0), |row| row.value());
                Ok(vacant.insert(Usage { end, bytes, records }))
            }
        }
    }

    /// Counts a record that was written.
    pub fn add_record(&mut self, place: &Place) -> Result<(), StoreError> {
        let usage = self.usage(place.segment)?;
        usage.bytes += place.length();
        usage.records += 1;
        self.growth += place.length().cast_signed();
        Ok(())
    }

    /// A record is dead: its segment may be deleted once all are, a large one gives its disk back
    /// before.
    pub fn drop_record(&mut self, place: &Place) -> Result<(), StoreError> {
        let usage = self.usage(place.segment)?;
        let bytes = usage.bytes.checked_sub(place.length());
        usage.bytes = bytes.ok_or_else(|| damaged("the use of a segment"))?;
        let records = usage.records.checked_sub(1);
        usage.records = records.ok_or_else(|| damaged("the use of a segment"))?;
        self.growth -= place.length().cast_signed();
        if u64::from(place.size) >= PUNCH_FROM {
            let key = (place.segment, place.body());
            self.punches.insert(key, u64::from(place.size)).map_err(failed)?;
        }
        Ok(())
    }

    /// Takes a number for a new segment.
    pub fn number_segment(&mut self) -> u32 {
        self.next_segment += 1;
        self.next_segment - 1
    }

    /// The numbers up to this one are taken.
    pub fn skip_segments(&mut self, taken: u32) {
        self.next_segment = self.next_segment.max(taken + 1);
    }

    /// The segments without a live record.
    pub fn dead_segments(&self) -> Result<Vec<u32>, StoreError> {
        let mut dead = Vec::new();
        for row in self.segments.iter().map_err(failed)? {
            let (number, usage) = row.map_err(failed)?;
            let changed = self.segment_rows.get(&number.value());
            if changed.map_or(usage.value().2, |usage| usage.records) == 0 {
                dead.push(number.value());
            }
        }
        Ok(dead)
    }

    /// How many roots are known, those of this transaction aside.
    pub fn known_roots(&self) -> Result<u64, StoreError> {
        self.roots.len().map_err(failed)
    }

    /// Removes the row of a segment whose file goes.
    pub fn forget_segment(&mut self, segment: u32) -> Result<(), StoreError> {
        self.segment_rows.remove(&segment);
        self.segments.remove(segment).map_err(failed)?;
        let holes = (segment, 0)..(segment + 1, 0);
        self.punches.retain_in(holes, |_, _| false).map_err(failed)
    }

    /// Writes what was changed, each table in the order of its keys.
    pub fn flush(mut self) -> Result<(), StoreError> {
        self.flush_blocks()?;
        for (id, node) in &self.node_rows {
            match node {
                Some(node) => self.nodes.insert(id, node.to_bytes(*id).as_slice()),
                None => self.nodes.remove(id),
            }
            .map_err(failed)?;
        }
        for (id, count) in &self.count_rows {
            match count {
                0 => self.counts.remove(id),
                _ => self.counts.insert(id, count),
            }
            .map_err(failed)?;
        }
        for id in &self.uncounted {
            self.work.insert(id, ()).map_err(failed)?;
        }
        for (segment, usage) in &self.segment_rows {
            let row = (usage.end, usage.bytes, usage.records);
            self.segments.insert(segment, row).map_err(failed)?;
        }
        for (key, row) in self.root_rows.iter().filter(|(_, row)| row.changed) {
            match row.value {
                Some(root) => self.roots.insert(key.to_bytes().as_slice(), root.to_bytes().as_slice()),
                None => self.roots.remove(key.to_bytes().as_slice()),
            }
            .map_err(failed)?;
        }
        self.numbers.insert(NEXT_NODE, self.next_node).map_err(failed)?;
        self.numbers.insert(NEXT_SEGMENT, u64::from(self.next_segment)).map_err(failed)?;
        Ok(())
    }

    fn flush_blocks(&mut self) -> Result<(), StoreError> {
        let changed = self.block_rows.iter().filter(|(_, row)| row.changed);
        let mut rows: Vec<_> = changed.map(|(key, row)| (multihash_bytes(key), &row.value)).collect();
        rows.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        for (key, block) in rows {
            if *block == Block::default() {
                self.blocks.remove(key.as_slice()).map_err(failed)?;
            } else {
                self.blocks.insert(key.as_slice(), block.to_bytes().as_slice()).map_err(failed)?;
            }
        }
        Ok(())
    }
}
