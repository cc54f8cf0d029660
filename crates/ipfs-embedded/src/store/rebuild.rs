//! Making the index anew from the segments and the roots' log.
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::ReadableTable;

use super::change::Change;
use super::disk::{Disk, DiskFile, PAGE};
use super::index::{COUNTS, Index, NODES, ROOTS, WORK, damaged, failed};
use super::record::{Head, head_length, read_head};
use super::row::{Hold, Place, Root};
use super::segment::{Segments, is_first_page};
use super::walk::Nodes;
use super::{NodeKey, StoreError, StoreOptions, nodes, root_log};

/// Records that go into one transaction.
const STEP: usize = 4096;
/// Nodes that are looked at in one go for having no count.
const STEP_COUNTS: usize = 65_536;

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
    let roots = root_log::read(disk.as_ref(), folder)?;
    insert_roots(&index, &roots)?;
    let segments = Segments::new(Arc::clone(disk), folder.to_owned());
    for number in segments.list()? {
        insert_segment(&index, &segments, number, &roots)?;
    }
    list_uncounted(&index)?;
    reopen_roots_with_holes(&index)?;
    drop(index);
    disk.rename(&fresh, path)?;
    disk.sync_folder(folder)?;
    Ok(())
}

fn insert_roots(index: &Index, roots: &HashMap<NodeKey, Root>) -> Result<(), StoreError> {
    let rows: Vec<_> = roots.iter().collect();
    for rows in rows.chunks(STEP) {
        index.write(|transaction| {
            let mut change = Change::new(transaction)?;
            for (key, root) in rows {
                change.set_root(key, Some(**root));
                if let Hold::Failed(until) | Hold::Released(until) = root.hold {
                    change.due.insert((until, key.to_bytes().as_slice()), ()).map_err(failed)?;
                }
                if root.holds() && !key.is_inline_leaf() {
                    let (id, _) = change.number(key)?;
                    change.raise(id)?;
                }
            }
            change.flush()
        })?;
    }
    Ok(())
}

fn insert_segment(
    index: &Index,
    segments: &Segments,
    number: u32,
    roots: &HashMap<NodeKey, Root>,
) -> Result<(), StoreError> {
    let file = segments.file(number)?;
    let mut scan = Scan::begin(file, number)?;
    loop {
        let mut found = Vec::with_capacity(STEP);
        while found.len() < STEP
            && let Some(record) = scan.next()?
        {
            found.push(record);
        }
        let last = found.len() < STEP;
        index.write(|transaction| {
            let mut change = Change::new(transaction)?;
            for (head, place) in &found {
                insert_record(&mut change, head, *place, roots)?;
            }
            change.skip_segments(number);
            if scan.end > 0 {
                change.usage(number)?.end = scan.end;
            }
            change.flush()
        })?;
        if last {
            return Ok(());
        }
    }
}

fn insert_record(
    change: &mut Change<'_>,
    head: &Head,
    place: Place,
    roots: &HashMap<NodeKey, Root>,
) -> Result<(), StoreError> {
    let (id, _) = change.number(&head.record.key)?;
    nodes::insert(change, id, &head.record, place)?;
    let holder = head.record.holder.filter(|holder| {
        let root = roots.get(holder).map(|root| root.hold);
        matches!(root, Some(Hold::Fetching | Hold::Failed(_)))
    });
    match holder {
        Some(holder) => nodes::hold(change, &holder, id),
        None => Ok(()),
    }
}

/// Leaves to collection what nothing leads to: nodes that were deleted, while their records are
/// still there.
fn list_uncounted(index: &Index) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let (uncounted, next) = index.read(|transaction| {
            let nodes = transaction.open_table(NODES).map_err(failed)?;
            let counts = transaction.open_table(COUNTS).map_err(failed)?;
            let mut uncounted = Vec::new();
            let mut next = None;
            for row in nodes.range(from..).map_err(failed)?.take(STEP_COUNTS) {
                let id = row.map_err(failed)?.0.value();
                if counts.get(id).map_err(failed)?.is_none() {
                    uncounted.push(id);
                }
                next = Some(id + 1);
            }
            Ok((uncounted, next))
        })?;
        let Some(next) = next else {
            return Ok(());
        };
        from = next;
        index.write(|transaction| {
            let mut work = transaction.open_table(WORK).map_err(failed)?;
            for id in uncounted {
                work.insert(id, ()).map_err(failed)?;
            }
            Ok(())
        })?;
    }
}

/// A root is called pinned only while it is whole: one that lost nodes is being fetched again.
fn reopen_roots_with_holes(index: &Index) -> Result<(), StoreError> {
    let broken = index.read(|transaction| {
        let nodes = Nodes::new(transaction)?;
        let table = transaction.open_table(ROOTS).map_err(failed)?;
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
    index.write(|transaction| {
        let mut change = Change::new(transaction)?;
        for (key, root) in broken {
            tracing::warn!(root = %key, "root has holes and is to be fetched again");
            change.set_root(&key, Some(root));
        }
        change.flush()
    })
}

/// Steps from record to record of one segment.
///
/// It stops at the first head that is none: what lies behind it could be bytes of a block that
/// somebody made look like records.
struct Scan {
    file: Arc<dyn DiskFile>,
    number: u32,
    length: u64,
    at: u64,
    /// The end of the last record, in whole pages; zero when the segment holds none.
    end: u64,
}

impl Scan {
    fn begin(file: Arc<dyn DiskFile>, number: u32) -> io::Result<Scan> {
        let length = file.length()?;
        let mut scan = Scan { file, number, length, at: PAGE, end: 0 };
        let page = scan.bytes(0, PAGE)?.unwrap_or_default();
        if !is_first_page(&page, number) {
            scan.length = 0;
        }
        Ok(scan)
    }

    /// The next record whose block is what was written; punched, torn and damaged ones are passed
    /// over.
    fn next(&mut self) -> io::Result<Option<(Head, Place)>> {
        while let Some(head) = self.head()? {
            let place =
                Place { segment: self.number, offset: self.at, head: head.length, size: head.body, crc: head.crc };
            self.at += place.length();
            let body = self.bytes(place.body(), u64::from(head.body))?;
            if body.is_some_and(|body| crc32fast::hash(&body) == head.crc) {
                self.end = self.at.next_multiple_of(PAGE);
                return Ok(Some((head, place)));
            }
        }
        Ok(None)
    }

    /// The head here, or on the next page, where the next batch begins.
    fn head(&mut self) -> io::Result<Option<Head>> {
        let here = self.head_at(self.at)?;
        if here.is_some() || self.at.is_multiple_of(PAGE) {
            return Ok(here);
        }
        self.at = self.at.next_multiple_of(PAGE);
        self.head_at(self.at)
    }

    fn head_at(&self, at: u64) -> io::Result<Option<Head>> {
        let Some(fixed) = self.bytes(at, 8)? else {
            return Ok(None);
        };
        let length = head_length(&fixed);
        let Some(length) = length.and_then(|length| u64::try_from(length).ok()) else {
            return Ok(None);
        };
        Ok(self.bytes(at, length)?.and_then(|bytes| read_head(&bytes)))
    }

    /// Bytes of the segment, if it has them.
    fn bytes(&self, at: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
        if at.checked_add(length).is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_at(&mut bytes, at)?;
        Ok(Some(bytes))
    }
}
