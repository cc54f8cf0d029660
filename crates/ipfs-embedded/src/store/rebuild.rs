//! Making the index anew from the segments and the roots' log.
use std::path::Path;
use std::sync::Arc;

use redb::ReadableTable;

use super::change::Change;
use super::disk::Disk;
use super::index::{Index, ROOTS, damaged, failed};
use super::replay::replay;
use super::row::{Hold, Root};
use super::segment::Segments;
use super::walk::Nodes;
use super::{NodeKey, StoreError, StoreOptions, root_log};

/// Makes the index at `path` anew, and puts it there only when it is whole.
pub(crate) fn rebuild(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    path: &Path,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    let fresh = folder.join("index.new");
    disk.remove(&fresh)?;
    let index = Index::open(Arc::clone(disk), &fresh, options.cache_bytes)?;
    let segments = Segments::new(Arc::clone(disk), folder.to_owned());
    replay(&index, &segments, &root_log::read(disk.as_ref(), folder)?)?;
    reopen_roots_with_holes(&index)?;
    drop(index);
    disk.rename(&fresh, path)?;
    disk.sync_folder(folder)?;
    Ok(())
}

/// A root is called pinned only while it is whole: one that lost nodes is being fetched again.
fn reopen_roots_with_holes(index: &Index) -> Result<(), StoreError> {
    let broken = index.read(|snapshot| {
        let nodes = Nodes::new(snapshot)?;
        let table = snapshot.open_table(ROOTS).map_err(failed)?;
        let mut broken = Vec::new();
        for row in table.iter().map_err(failed)? {
            let (key, root) = row.map_err(failed)?;
            let root = Root::from_bytes(root.value()).ok_or_else(|| damaged("a root row"))?;
            let key = NodeKey::from_bytes(key.value()).ok_or_else(|| damaged("a root row"))?;
            if matches!(root.hold, Hold::Pinned(_)) && !nodes.walk(&key, 1)?.holes.is_empty() {
                broken.push((key, Root { epoch: root.epoch, hold: Hold::Fetching }));
            }
        }
        Ok(broken)
    })?;
    index.save(|transaction| {
        let mut change = Change::new(transaction)?;
        for (key, root) in broken {
            tracing::warn!(root = %key, "root has holes and is to be fetched again");
            change.set_root(&key, Some(root));
        }
        change.flush()
    })
}
