//! Making the index anew from the segments and the roots' log.
use std::path::Path;
use std::sync::Arc;

use redb::ReadableTable;

use crate::disk::Disk;
use crate::index::{Index, ROOTS, damaged, failed};
use crate::replay::replay;
use crate::root_log::RootLog;
use crate::row::{Hold, Root};
use crate::segment::Segments;
use crate::walk::Nodes;
use crate::{NodeKey, StoreError, StoreOptions, root_log};

/// Makes the index at `path` anew, and puts it there only when it is whole.
pub(crate) fn rebuild(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    path: &Path,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    let fresh = folder.join("index.new");
    disk.remove(&fresh)?;
    let index = Index::open(disk.as_ref(), &fresh, options.cache_bytes)?;
    let segments = Segments::new(Arc::clone(disk), folder.to_owned());
    replay(&index, &segments, &root_log::read(disk.as_ref(), folder)?)?;
    let broken = find_roots_with_holes(&index)?;
    for (key, _) in &broken {
        tracing::warn!(root = %key, "root has holes and is to be fetched again");
    }
    // The index learns of it from the log, which would call them pinned again otherwise.
    RootLog::open(Arc::clone(disk), folder)?.append(broken.iter().map(|(key, root)| (key, Some(*root))))?;
    drop(index);
    disk.rename(&fresh, path)?;
    disk.sync_folder(folder)?;
    Ok(())
}

/// A root is called pinned only while it is whole: those that lost nodes, as they are to be from now
/// on.
fn find_roots_with_holes(index: &Index) -> Result<Vec<(NodeKey, Root)>, StoreError> {
    index.read(|snapshot| {
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
    })
}
