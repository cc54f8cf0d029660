//! Committing nodes: bytes, links and counts in one transaction.
use std::collections::HashSet;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use crate::change::Change;
use crate::record::Record;
use crate::row::{Hold, Known, Node, Place, Reading};
use crate::segment::Tail;
use crate::{Committed, NodeKey, StoreError};

/// A put or an adoption on its way to the writer.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub root: NodeKey,
    pub epoch: u64,
    pub key: NodeKey,
    /// None when the bytes are to be there already.
    pub bytes: Option<Bytes>,
    pub links: Vec<NodeKey>,
    /// Whether blocks come in any order, so that no link may lead to the node yet.
    pub any_order: bool,
    pub done: UnboundedSender<Committed>,
}

/// A node that will be durable when the transaction is.
#[derive(Debug)]
pub(crate) struct Accepted {
    size: u32,
    /// Links that were no committed nodes when this one came: a later one of the batch may be one
    /// of them.
    open_links: Vec<(u64, NodeKey)>,
}

/// Whether the fetch may still write.
pub(crate) fn admit(change: &mut Change<'_>, root: &NodeKey, epoch: u64) -> Result<Result<(), StoreError>, StoreError> {
    Ok(match change.root(root)? {
        Some(held) if held.epoch > epoch => Err(StoreError::StaleEpoch { given: epoch, held: held.epoch }),
        Some(held) if held.epoch == epoch && held.hold == Hold::Fetching => Ok(()),
        _ => Err(StoreError::NotBegun),
    })
}

/// Takes a node into the batch. The outer error is the index's and ends the batch, the inner one is
/// this node's alone.
pub(crate) fn commit(
    change: &mut Change<'_>,
    tail: &mut Tail,
    incoming: &Incoming,
) -> Result<Result<Accepted, StoreError>, StoreError> {
    if let Err(refused) = admit(change, &incoming.root, incoming.epoch)? {
        return Ok(Err(refused));
    }
    let key = incoming.key;
    let inline = key.identity_bytes().map(size_of);
    if let (true, Some(size)) = (key.is_inline_leaf(), inline) {
        return Ok(Ok(Accepted { size, open_links: Vec::new() }));
    }
    if incoming.root.is_inline_leaf() {
        return Ok(Err(StoreError::NotBegun));
    }
    let block = change.block(&key.multihash)?;
    let known = block.reading(key.codec).is_some_and(|reading| reading.known);
    let stored = inline.or(block.place.map(|place| place.size));
    if let (Some(size), true) = (stored, known) {
        return commit_again(change, tail, incoming, size).map(Ok);
    }
    let size = match (stored, &incoming.bytes) {
        (Some(size), _) => size,
        (None, Some(bytes)) => size_of(bytes),
        (None, None) => return Ok(Err(StoreError::Absent)),
    };
    let body = incoming.bytes.as_deref().filter(|_| stored.is_none());
    commit_new(change, tail, incoming, size, body).map(Ok)
}

/// The node is there: only its fetch must be sure to keep it.
fn commit_again(
    change: &mut Change<'_>,
    tail: &mut Tail,
    incoming: &Incoming,
    size: u32,
) -> Result<Accepted, StoreError> {
    let (id, _) = change.number(&incoming.key)?;
    if incoming.any_order || change.count(id)? == 0 {
        let record = Record {
            key: incoming.key,
            holder: Some(incoming.root),
            with_block: false,
            size,
            links: distinct_links(&incoming.links),
        };
        let place = tail.append(&record, &[]);
        insert(change, id, &record, place)?;
        hold(change, &incoming.root, id)?;
    }
    let known = change.node(id)?.and_then(|node| node.known);
    let mut open_links = Vec::new();
    for link in known.map(|known| known.links).unwrap_or_default() {
        if let Some(node) = change.node(link)?
            && !is_whole(&node)
        {
            open_links.push((link, node.key));
        }
    }
    Ok(Accepted { size, open_links })
}

fn commit_new(
    change: &mut Change<'_>,
    tail: &mut Tail,
    incoming: &Incoming,
    size: u32,
    body: Option<&[u8]>,
) -> Result<Accepted, StoreError> {
    let (id, _) = change.number(&incoming.key)?;
    let held = incoming.any_order || change.count(id)? == 0;
    let record = Record {
        key: incoming.key,
        holder: held.then_some(incoming.root),
        with_block: body.is_some(),
        size,
        links: distinct_links(&incoming.links),
    };
    let place = tail.append(&record, body.unwrap_or_default());
    let open_links = insert(change, id, &record, place)?;
    if held {
        hold(change, &incoming.root, id)?;
    }
    Ok(Accepted { size, open_links })
}

/// Puts a record into the index; the links that are no committed nodes.
pub(crate) fn insert(
    change: &mut Change<'_>,
    id: u64,
    record: &Record,
    place: Place,
) -> Result<Vec<(u64, NodeKey)>, StoreError> {
    let known = change.block(&record.key.multihash)?.reading(record.key.codec);
    let known = known.is_some_and(|reading| reading.known);
    let before = if known { change.node(id)?.and_then(|node| node.known) } else { None };
    let mut open_links = Vec::new();
    // When damaged bytes come again, the links were counted when they came first.
    let links = if let Some(before) = before {
        if let Some(old) = before.record {
            change.drop_record(&old)?;
        }
        before.links
    } else {
        let mut links = Vec::with_capacity(record.links.len());
        for link in &record.links {
            let (child, present) = change.number(link)?;
            change.raise(child)?;
            links.push(child);
            if !present {
                open_links.push((child, *link));
            }
        }
        links
    };
    change.add_record(&place)?;
    let own_record = (!record.with_block).then_some(place);
    let block = change.block_mut(&record.key.multihash)?;
    let old = if record.with_block { block.place.replace(place) } else { None };
    let present = block.place.is_some() || record.key.identity_bytes().is_some();
    let codec = record.key.codec;
    block.nodes.retain(|reading| reading.codec != codec);
    block.nodes.push(Reading { codec, id, known: true });
    if let Some(old) = old {
        change.drop_record(&old)?;
    }
    let known = Known { present, size: record.size, record: own_record, links };
    change.set_node(id, Some(Node { key: record.key, known: Some(known) }));
    if record.with_block {
        restore_siblings(change, &record.key, id)?;
    }
    Ok(open_links)
}

/// Other nodes of the same bytes that were given up with them are whole again.
fn restore_siblings(change: &mut Change<'_>, key: &NodeKey, id: u64) -> Result<(), StoreError> {
    let readings = change.block(&key.multihash)?.nodes.clone();
    for reading in readings.iter().filter(|reading| reading.known && reading.id != id) {
        set_present(change, reading.id, true)?;
    }
    Ok(())
}

/// Says of a committed node whether its bytes are there.
pub(crate) fn set_present(change: &mut Change<'_>, id: u64, present: bool) -> Result<(), StoreError> {
    if let Some(mut node) = change.node(id)?
        && let Some(known) = &mut node.known
    {
        known.present = present;
        change.set_node(id, Some(node));
    }
    Ok(())
}

/// Gives up damaged bytes: their nodes are missing from now on, what they link to stays counted.
pub(crate) fn discard(change: &mut Change<'_>, multihash: &cid::multihash::Multihash<64>) -> Result<(), StoreError> {
    let block = change.block_mut(multihash)?;
    let Some(place) = block.place.take() else {
        return Ok(());
    };
    let readings = block.nodes.clone();
    change.drop_record(&place)?;
    for reading in readings {
        set_present(change, reading.id, false)?;
    }
    Ok(())
}

/// Holds a node for a root until the root is finished.
pub(crate) fn hold(change: &mut Change<'_>, root: &NodeKey, id: u64) -> Result<(), StoreError> {
    let (root, _) = change.number(root)?;
    let before = change.holds.insert((root, id), ()).map_err(crate::index::failed)?.is_some();
    if !before {
        change.raise(id)?;
    }
    Ok(())
}

/// The answer, once every node of the batch is in.
pub(crate) fn answer(change: &Change<'_>, key: NodeKey, accepted: Accepted) -> Committed {
    let open = accepted.open_links.into_iter();
    let missing = open.filter(|(id, _)| !change.changed_node(*id).is_some_and(is_whole));
    Committed { key, size: accepted.size, missing: missing.map(|(_, key)| key).collect(), result: Ok(()) }
}

fn is_whole(node: &Node) -> bool {
    node.known.as_ref().is_some_and(|known| known.present)
}

fn distinct_links(links: &[NodeKey]) -> Vec<NodeKey> {
    let mut seen = HashSet::with_capacity(links.len());
    let counted = links.iter().filter(|link| !link.is_inline_leaf());
    counted.filter(|link| seen.insert(**link)).copied().collect()
}

fn size_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a block is under 4 GiB")
}
