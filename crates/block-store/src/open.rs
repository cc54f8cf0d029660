//! Opening a store: the lock, the index (made anew if need be), the segments' ends, the writer.
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use pinrail_domain::chain;

use crate::disk::{Disk, PAGE};
use crate::index::Index;
use crate::replay::{SegmentRows, read_segment_rows, replay};
use crate::root_log::RootLog;
use crate::row::Root;
use crate::segment::{Segments, Tail};
use crate::space::Watch;
use crate::writer::Writer;
use crate::{BlockStore, Handle, NodeKey, Shared, StoreError, StoreOptions, rebuild, root_log};

/// Takes the folder for this process, until the answer is dropped.
pub(crate) fn lock(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Send + Sync>, StoreError> {
    let unusable = |error: io::Error| StoreError::Folder { folder: folder.to_owned(), source: Arc::new(error) };
    disk.create_folder(folder).map_err(unusable)?;
    let lock = disk.lock(&folder.join("lock")).map_err(unusable)?;
    lock.ok_or_else(|| StoreError::InUse(folder.to_owned()))
}

/// Makes the names of a new store's folder and of those above it durable, as far as this process may
/// read them: whatever it did not make itself was there before.
fn sync_above(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    for above in folder.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match disk.sync_folder(above) {
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {}
            other => other?,
        }
    }
    Ok(())
}

pub(crate) fn open(disk: &Arc<dyn Disk>, folder: &Path, options: StoreOptions) -> Result<BlockStore, StoreError> {
    let lock = lock(disk.as_ref(), folder)?;
    open_locked(disk, folder, options, lock).map_err(|error| match error {
        StoreError::Io(source) => StoreError::Folder { folder: folder.to_owned(), source },
        other => other,
    })
}

fn open_locked(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    options: StoreOptions,
    lock: Box<dyn Send + Sync>,
) -> Result<BlockStore, StoreError> {
    let segments = Arc::new(Segments::new(Arc::clone(disk), folder.to_owned()));
    let index = open_index(&segments, &options)?;
    let batch = u64::try_from(options.batch_bytes).unwrap_or(u64::MAX);
    let watch = Watch::new(Arc::clone(disk), folder.to_owned(), options.reserve, options.ballast, batch)?;
    let mut tail = Tail::new(Arc::clone(&segments), options.batch_bytes);
    let rows = catch_up(&index, &segments, &root_log::read(disk.as_ref(), folder)?)?;
    watch.set_used(rows.values().map(|(_, live)| live).sum());
    if let Some((number, (end, _))) = rows.last_key_value()
        && *end < options.segment_size
    {
        tail.resume(*number, *end)?;
    }
    let log = RootLog::open(Arc::clone(disk), folder)?;
    disk.sync_folder(folder)?;
    let shared = Arc::new(Shared { options, index, segments, watch, _lock: lock });
    let (sender, inbox) = mpsc::channel();
    let writer = Writer::new(Arc::clone(&shared), tail, log);
    let thread = thread::Builder::new().name("block-store".to_owned());
    let thread = thread.spawn(move || writer.run(&inbox))?;
    Ok(BlockStore(Arc::new(Handle { shared, sender: Some(sender), writer: Some(thread), checked: Mutex::default() })))
}

/// Does again what the index does not know of, and removes the files that are nothing to it; what it
/// knows of segments then.
///
/// Only an index that this was done to says of a segment's number whether it is taken.
pub(crate) fn catch_up(
    index: &Index,
    segments: &Segments,
    logged: &HashMap<NodeKey, Root>,
) -> Result<SegmentRows, StoreError> {
    replay(index, segments, logged)?;
    let (rows, _) = read_segment_rows(index)?;
    remove_strays(segments, &rows)?;
    Ok(rows)
}

/// Opens the index. One that is missing, damaged, or promises more than the segments hold is made
/// anew from them.
pub(crate) fn open_index(segments: &Segments, options: &StoreOptions) -> Result<Index, StoreError> {
    let (disk, folder) = (segments.disk(), segments.folder());
    let path = folder.join("index.redb");
    let open = || Index::open(disk.as_ref(), &path, options.cache_bytes);
    let why = match disk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            sync_above(disk.as_ref(), folder)?;
            if segments.list()?.is_empty() {
                return open();
            }
            "it is missing".to_owned()
        }
        Err(error) => return Err(error.into()),
        Ok(_) => match open() {
            Ok(index) => match find_short_segment(&index, segments)? {
                None => return Ok(index),
                Some(number) => format!("segment {number} is shorter than it says"),
            },
            Err(StoreError::Index(why)) => chain(&*why),
            Err(error) => return Err(error),
        },
    };
    tracing::warn!(folder = %folder.display(), why, "index of the block store is made anew");
    rebuild::rebuild(disk, folder, &path, options)?;
    open()
}

fn find_short_segment(index: &Index, segments: &Segments) -> Result<Option<u32>, StoreError> {
    for (number, (end, _)) in read_segment_rows(index)?.0 {
        let length = match segments.file(number) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            file => file?.length()?,
        };
        // A torn write may end within the last page.
        if length.next_multiple_of(PAGE) < end {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Removes the files that a crash left: of a segment whose first batch was not committed, or whose
/// last record was deleted.
fn remove_strays(segments: &Segments, rows: &SegmentRows) -> io::Result<()> {
    for number in segments.list()? {
        if !rows.contains_key(&number) {
            segments.remove(number)?;
        }
    }
    Ok(())
}
