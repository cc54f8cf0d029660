//! Collection: deleting what nothing leads to, in bounded steps, and giving its disk back.
use redb::ReadableTable;

use crate::change::Change;
use crate::index::failed;
use crate::row::Node;
use crate::{Collected, NodeKey, StoreError, roots};

/// Roots that one step looks at.
const STEP_ROOTS: usize = 512;
/// Holes that one step punches.
pub(crate) const STEP_PUNCHES: usize = 512;

/// One step. Every count is looked at again in this transaction, which also deletes: what was
/// wanted again in the meantime stays.
///
/// It touches `limit` nodes and links at most, a single node's links aside. The rows of blocks lie in
/// the order of their hashes, so that the more go at once, the fewer pages are written for each.
pub(crate) fn step(change: &mut Change<'_>, now_ms: u64, keep_ms: u64, limit: usize) -> Result<Collected, StoreError> {
    let mut collected = Collected::default();
    come_due(change, now_ms, keep_ms)?;
    let mut budget = drop_holds(change, limit)?;
    while budget > 0 {
        // Children were mostly numbered after their parents: the last one first is depth first, which
        // leaves little to the durable work list.
        let work = match change.uncounted.pop_last() {
            Some(id) => vec![id],
            None => take_work(change, budget)?,
        };
        if work.is_empty() {
            break;
        }
        for id in work {
            let touched = delete_unless_counted(change, id, &mut collected)?;
            budget = budget.saturating_sub(touched);
        }
    }
    collected.more = !change.uncounted.is_empty()
        || change.work.first().map_err(failed)?.is_some()
        || change.drops.first().map_err(failed)?.is_some()
        || change.punches.first().map_err(failed)?.is_some()
        || next_due(change, now_ms)?;
    Ok(collected)
}

fn come_due(change: &mut Change<'_>, now_ms: u64, keep_ms: u64) -> Result<(), StoreError> {
    let mut due = Vec::new();
    let until = now_ms.saturating_add(1);
    let range = change.due.range((0, &[][..])..(until, &[][..])).map_err(failed)?;
    for row in range.take(STEP_ROOTS) {
        let (key, ()) = row.map(|(key, value)| (key, value.value())).map_err(failed)?;
        let (at, root) = key.value();
        due.push((at, root.to_vec()));
    }
    for (at, root) in due {
        change.due.remove((at, root.as_slice())).map_err(failed)?;
        if let Some(key) = NodeKey::from_bytes(&root) {
            roots::come_due(change, &key, now_ms, keep_ms)?;
        }
    }
    Ok(())
}

fn next_due(change: &Change<'_>, now_ms: u64) -> Result<bool, StoreError> {
    let first = change.due.first().map_err(failed)?;
    Ok(first.is_some_and(|(key, _)| key.value().0 <= now_ms))
}

/// Drops holds of roots that need none any more; what is left of the budget.
fn drop_holds(change: &mut Change<'_>, mut budget: usize) -> Result<usize, StoreError> {
    while budget > 0 {
        let Some(root) = change.drops.first().map_err(failed)?.map(|(root, _)| root.value()) else {
            break;
        };
        let range = change.holds.range((root, 0)..=(root, u64::MAX)).map_err(failed)?;
        let held = range.take(budget).map(|row| row.map(|(key, _)| key.value().1));
        let held = held.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        if held.len() < budget {
            change.drops.remove(root).map_err(failed)?;
        }
        budget -= held.len();
        for id in held {
            change.holds.remove((root, id)).map_err(failed)?;
            change.lower(id)?;
        }
    }
    Ok(budget)
}

/// Takes up to this many nodes off the durable work list.
fn take_work(change: &mut Change<'_>, limit: usize) -> Result<Vec<u64>, StoreError> {
    let rows = change.work.iter().map_err(failed)?.take(limit);
    let work: Vec<u64> = rows.map(|row| row.map(|(id, _)| id.value())).collect::<Result<_, _>>().map_err(failed)?;
    if let Some(last) = work.last() {
        change.work.retain_in(..=*last, |_, ()| false).map_err(failed)?;
    }
    Ok(work)
}

/// Deletes a node that nothing leads to and lowers the counts of what it links to; how much it
/// touched.
fn delete_unless_counted(change: &mut Change<'_>, id: u64, collected: &mut Collected) -> Result<usize, StoreError> {
    if change.count(id)? > 0 {
        return Ok(1);
    }
    let Some(Node { key, known }) = change.node(id)? else {
        return Ok(1);
    };
    let mut touched = 1;
    if let Some(known) = known {
        touched += known.links.len();
        for link in known.links {
            change.lower(link)?;
        }
        if let Some(record) = known.record {
            change.drop_record(&record)?;
        }
    }
    change.set_node(id, None);
    let block = change.block_mut(&key.multihash)?;
    block.nodes.retain(|reading| reading.id != id);
    if block.nodes.is_empty()
        && let Some(place) = block.place.take()
    {
        change.drop_record(&place)?;
        collected.blocks += 1;
        collected.bytes += u64::from(place.size);
    }
    Ok(touched)
}
