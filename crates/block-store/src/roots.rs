//! What holds a DAG: roots, their epochs, and how they are begun, finished, failed and released.
use pinrail_domain::DagSize;
use redb::ReadableTable;

use crate::change::Change;
use crate::index::failed;
use crate::nodes::admit;
use crate::row::{Hold, Root};
use crate::{NodeKey, StoreError};

/// A refusal is the caller's; an index that failed ends the whole batch.
type Answer = Result<Result<(), StoreError>, StoreError>;

/// Starts or resumes holding a root.
pub(crate) fn begin(change: &mut Change<'_>, key: &NodeKey, epoch: u64) -> Answer {
    let before = change.root(key)?;
    if let Some(root) = before {
        let next = if root.holds() { root.epoch } else { root.epoch.saturating_add(1) };
        if epoch < next {
            return Ok(Err(StoreError::StaleEpoch { given: epoch, held: next }));
        }
        if epoch == root.epoch && matches!(root.hold, Hold::Fetching | Hold::Pinned(_)) {
            return Ok(Ok(()));
        }
        forget_due(change, key, root)?;
    }
    if !before.is_some_and(|root| root.holds()) && !key.is_inline_leaf() {
        let (id, _) = change.number(key)?;
        change.raise(id)?;
    }
    if !key.is_inline_leaf() {
        let (id, _) = change.number(key)?;
        change.drops.remove(id).map_err(failed)?;
    }
    change.set_root(key, Some(Root { epoch, hold: Hold::Fetching }));
    Ok(Ok(()))
}

/// Marks a root pinned that was walked and found whole.
pub(crate) fn finish(change: &mut Change<'_>, key: &NodeKey, epoch: u64, totals: DagSize) -> Answer {
    if let Err(refused) = admit_finish(change, key, epoch)? {
        return Ok(Err(refused));
    }
    change.set_root(key, Some(Root { epoch, hold: Hold::Pinned(totals) }));
    drop_holds(change, key)?;
    Ok(Ok(()))
}

/// A fetch that may write may also finish, and a finished one again.
fn admit_finish(change: &mut Change<'_>, key: &NodeKey, epoch: u64) -> Answer {
    match change.root(key)? {
        Some(Root { epoch: held, hold: Hold::Pinned(_) }) if held == epoch => Ok(Ok(())),
        _ => admit(change, key, epoch),
    }
}

/// Ends a fetch; its blocks are kept until then (in milliseconds).
pub(crate) fn fail(change: &mut Change<'_>, key: &NodeKey, epoch: u64, until: u64) -> Answer {
    if let Err(refused) = admit(change, key, epoch)? {
        return Ok(Err(refused));
    }
    change.set_root(key, Some(Root { epoch, hold: Hold::Failed(until) }));
    change.due.insert((until, key.to_bytes().as_slice()), ()).map_err(failed)?;
    Ok(Ok(()))
}

/// Holds a root no longer. Releasing what is not held is fine, and refuses older epochs from then
/// on all the same.
pub(crate) fn release(change: &mut Change<'_>, key: &NodeKey, epoch: u64) -> Answer {
    if let Some(root) = change.root(key)? {
        if root.epoch > epoch {
            return Ok(Err(StoreError::StaleEpoch { given: epoch, held: root.epoch }));
        }
        if root.epoch == epoch && !root.holds() {
            return Ok(Ok(()));
        }
        forget_due(change, key, root)?;
        let_go(change, key, root)?;
    }
    change.set_root(key, Some(Root { epoch, hold: Hold::Released(0) }));
    change.due.insert((0, key.to_bytes().as_slice()), ()).map_err(failed)?;
    Ok(Ok(()))
}

/// Does again what led a root to where the log says that it stands.
pub(crate) fn restore(change: &mut Change<'_>, key: &NodeKey, root: Root) -> Result<(), StoreError> {
    let before = change.root(key)?;
    if before == Some(root) {
        return Ok(());
    }
    if let Some(before) = before {
        forget_due(change, key, before)?;
    }
    let held = before.filter(Root::holds);
    match held {
        Some(before) if !root.holds() => let_go(change, key, before)?,
        None if root.holds() && !key.is_inline_leaf() => {
            let (id, _) = change.number(key)?;
            change.raise(id)?;
            change.drops.remove(id).map_err(failed)?;
        }
        _ => {}
    }
    if matches!(root.hold, Hold::Pinned(_)) {
        drop_holds(change, key)?;
    }
    if let Hold::Failed(until) | Hold::Released(until) = root.hold {
        change.due.insert((until, key.to_bytes().as_slice()), ()).map_err(failed)?;
    }
    change.set_root(key, Some(root));
    Ok(())
}

/// Takes what the root counts for from its node.
fn let_go(change: &mut Change<'_>, key: &NodeKey, root: Root) -> Result<(), StoreError> {
    if !root.holds() || key.is_inline_leaf() {
        return Ok(());
    }
    let (id, _) = change.number(key)?;
    change.lower(id)?;
    drop_holds(change, key)
}

/// Leaves the holds of a root to collection, if it has any.
fn drop_holds(change: &mut Change<'_>, key: &NodeKey) -> Result<(), StoreError> {
    if key.is_inline_leaf() {
        return Ok(());
    }
    let (id, _) = change.number(key)?;
    let any = change.holds.range((id, 0)..=(id, u64::MAX)).map_err(failed)?.next().is_some();
    if any {
        change.drops.insert(id, ()).map_err(failed)?;
    }
    Ok(())
}

fn forget_due(change: &mut Change<'_>, key: &NodeKey, root: Root) -> Result<(), StoreError> {
    if let Hold::Failed(until) | Hold::Released(until) = root.hold {
        change.due.remove((until, key.to_bytes().as_slice())).map_err(failed)?;
    }
    Ok(())
}

/// Looks at a root whose time has come: a failed one is released, a release is remembered for
/// `keep_ms` and then forgotten.
pub(crate) fn come_due(change: &mut Change<'_>, key: &NodeKey, now_ms: u64, keep_ms: u64) -> Result<(), StoreError> {
    let Some(root) = change.root(key)? else {
        return Ok(());
    };
    match root.hold {
        Hold::Failed(until) if until <= now_ms => let_go(change, key, root)?,
        Hold::Released(0) => {}
        Hold::Released(until) if until <= now_ms => {
            change.set_root(key, None);
            return Ok(());
        }
        _ => return Ok(()),
    }
    // Zero means that nobody has said until when.
    let until = now_ms.saturating_add(keep_ms).max(1);
    change.set_root(key, Some(Root { epoch: root.epoch, hold: Hold::Released(until) }));
    change.due.insert((until, key.to_bytes().as_slice()), ()).map_err(failed)?;
    Ok(())
}
