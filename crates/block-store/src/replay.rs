//! Catching the index up with the segments and the roots' log.
//!
//! Most commits of the index stay in memory, since segments and log say the same and are durable
//! already. After a crash what was committed since the index was last saved is done again from them;
//! an index that is made anew is one that was never saved.
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use redb::ReadableTable;

use crate::change::Change;
use crate::disk::{DiskFile, PAGE};
use crate::index::{Index, NEXT_SEGMENT, NUMBERS, SEGMENTS, failed};
use crate::record::{Head, head_length, read_head};
use crate::row::{Hold, Place, Root};
use crate::segment::{Segments, is_first_page};
use crate::{NodeKey, StoreError, nodes, roots};

/// Records that go into one transaction.
const STEP: usize = 4096;

/// Segments' numbers to their committed lengths and their live bytes.
pub(crate) type SegmentRows = BTreeMap<u32, (u64, u64)>;

/// Does again what the index does not know of, and saves it.
pub(crate) fn replay(index: &Index, segments: &Segments, logged: &HashMap<NodeKey, Root>) -> Result<(), StoreError> {
    replay_roots(index, logged)?;
    let (rows, next) = read_segment_rows(index)?;
    let numbers = segments.list()?;
    for number in &numbers {
        let from = match rows.get(number) {
            Some((end, _)) => *end,
            None if u64::from(*number) >= next => 0,
            // Its last record was deleted, and the crash came before its file was.
            None => continue,
        };
        let file = segments.file(*number)?;
        if file.length()? > from {
            let unsure = (numbers.last() == Some(number)).then_some(segments);
            replay_segment(index, Scan::begin(file, *number, from)?, logged, unsure)?;
        }
    }
    Ok(())
}

/// What the index knows of segments, and the next one's number.
pub(crate) fn read_segment_rows(index: &Index) -> Result<(SegmentRows, u64), StoreError> {
    index.read(|snapshot| {
        let table = snapshot.open_table(SEGMENTS).map_err(failed)?;
        let rows = table.iter().map_err(failed)?.map(|row| {
            let (number, row) = row.map_err(failed)?;
            let (end, live, _) = row.value();
            Ok((number.value(), (end, live)))
        });
        let rows = rows.collect::<Result<_, StoreError>>()?;
        let numbers = snapshot.open_table(NUMBERS).map_err(failed)?;
        let next = numbers.get(NEXT_SEGMENT).map_err(failed)?;
        Ok((rows, next.map_or(0, |next| next.value())))
    })
}

fn replay_roots(index: &Index, logged: &HashMap<NodeKey, Root>) -> Result<(), StoreError> {
    let rows: Vec<_> = logged.iter().collect();
    for rows in rows.chunks(STEP) {
        index.save(|transaction| {
            let mut change = Change::new(transaction)?;
            for (key, root) in rows {
                roots::restore(&mut change, key, **root)?;
            }
            change.flush()
        })?;
    }
    Ok(())
}

/// Does one segment's records again. What the index is about to say of them has to be durable before:
/// that others are punched out, which a process that was killed may not have synced, and of the last
/// segment (`unsure`) the records themselves, whose sync may have failed. Those of all others were
/// durable when the next one was begun.
fn replay_segment(
    index: &Index,
    mut scan: Scan,
    logged: &HashMap<NodeKey, Root>,
    unsure: Option<&Segments>,
) -> Result<(), StoreError> {
    loop {
        let mut found = Vec::with_capacity(STEP);
        while found.len() < STEP
            && let Some(record) = scan.next()?
        {
            found.push(record);
        }
        if found.is_empty() {
            return Ok(());
        }
        match unsure {
            Some(segments) => segments.write_again(scan.number, &pages(&found))?,
            None => scan.file.sync()?,
        }
        index.save(|transaction| {
            let mut change = Change::new(transaction)?;
            for (head, place) in &found {
                replay_record(&mut change, head, *place, logged)?;
            }
            change.skip_segments(scan.number);
            change.usage(scan.number)?.end = scan.end;
            change.flush()
        })?;
    }
}

/// The pages on which a segment's records lie, those that follow each other together, and its first
/// one, without which they are none.
fn pages(records: &[(Head, Place)]) -> Vec<Range<u64>> {
    let mut pages = Vec::new();
    let mut last = 0..PAGE;
    for (_, place) in records {
        let until = (place.offset + place.length()).next_multiple_of(PAGE);
        if place.offset > last.end {
            pages.push(std::mem::replace(&mut last, place.offset / PAGE * PAGE..until));
        }
        last.end = until;
    }
    pages.push(last);
    pages
}

fn replay_record(
    change: &mut Change<'_>,
    head: &Head,
    place: Place,
    logged: &HashMap<NodeKey, Root>,
) -> Result<(), StoreError> {
    let (id, _) = change.number(&head.record.key)?;
    nodes::insert(change, id, &head.record, place)?;
    let holder = head.record.holder.filter(|holder| {
        let root = logged.get(holder).map(|root| root.hold);
        matches!(root, Some(Hold::Fetching | Hold::Failed(_)))
    });
    if let Some(holder) = holder {
        nodes::hold(change, &holder, id)?;
    }
    if change.count(id)? == 0 {
        // It may have been deleted while its record is still there: collection finds out.
        change.uncounted.insert(id);
    }
    Ok(())
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
    /// The end of the last whole record, in whole pages.
    end: u64,
}

impl Scan {
    fn begin(file: Arc<dyn DiskFile>, number: u32, from: u64) -> io::Result<Scan> {
        let length = file.length()?;
        let mut scan = Scan { file, number, length, at: from.max(PAGE), end: from };
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
        let start = self.bytes(at, 8)?.unwrap_or_default();
        let length = head_length(&start).and_then(|length| u64::try_from(length).ok());
        let Some(length) = length else {
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
