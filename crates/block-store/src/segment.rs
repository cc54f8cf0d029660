//! Segments: append-only files of records, written a batch at a time past the page cache.
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aligned_vec::{AVec, ConstAlign};

use crate::disk::{Access, Disk, DiskFile, PAGE};
use crate::record::{Record, write_head};
use crate::row::Place;

/// A segment's first page begins with this, its number after it.
const MAGIC: [u8; 8] = *b"PRsegm1\n";
/// Handles kept open to read from.
const OPEN_FILES: usize = 128;

const PAGE_BYTES: usize = 4096;

/// Pages are written again in steps of so many bytes.
const STEP: u64 = 1 << 20;
const STEP_BYTES: usize = 1 << 20;

/// The folder of segments, to read from.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    files: Mutex<HashMap<u32, Arc<dyn DiskFile>>>,
}

impl Segments {
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf) -> Segments {
        Segments { disk, folder, files: Mutex::default() }
    }

    /// The disk that they are on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a segment.
    pub fn path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number:08}.seg"))
    }

    /// The numbers of the segments in the folder, ascending.
    pub fn list(&self) -> io::Result<Vec<u32>> {
        let paths = self.disk.list(&self.folder)?;
        let mut numbers: Vec<u32> = paths.iter().filter_map(|path| number_of(path)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// An open segment.
    pub fn file(&self, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&number) {
            return Ok(Arc::clone(file));
        }
        if files.len() >= OPEN_FILES {
            let oldest = files.keys().min().copied();
            oldest.and_then(|oldest| files.remove(&oldest));
        }
        let file = self.disk.open(&self.path(number))?;
        files.insert(number, Arc::clone(&file));
        Ok(file)
    }

    /// The block of a record; `None` when it is not what was written there.
    pub fn read(&self, place: &Place) -> io::Result<Option<Vec<u8>>> {
        let size = usize::try_from(place.size).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        match self.file(place.segment)?.read_at(&mut bytes, place.body()) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        Ok((crc32fast::hash(&bytes) == place.crc).then_some(bytes))
    }

    /// A segment to write to, past the page cache where that can be.
    pub fn write(&self, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(&self.path(number), Access::Direct)
    }

    /// Writes pages again as they are read, and makes them durable: after a sync that failed they may be
    /// in memory alone, and another sync would not write them.
    pub fn write_again(&self, number: u32, pages: &[Range<u64>]) -> io::Result<()> {
        let (seen, file) = (self.file(number)?, self.write(number)?);
        let length = seen.length()?;
        let mut buffer: AVec<u8, ConstAlign<PAGE_BYTES>> = AVec::new(PAGE_BYTES);
        for range in pages {
            for at in (range.start..range.end).step_by(STEP_BYTES) {
                let end = range.end.min(length).min(at + STEP);
                let bytes = usize::try_from(end.saturating_sub(at)).map_err(io::Error::other)?;
                buffer.resize(bytes, 0);
                seen.read_at(&mut buffer, at)?;
                buffer.resize(bytes.next_multiple_of(PAGE_BYTES), 0);
                file.write_at(&buffer, at)?;
            }
        }
        file.sync()
    }

    /// Gives the disk under a dead block back, as far as it covers whole pages.
    pub fn punch(&self, number: u32, offset: u64, length: u64) -> io::Result<()> {
        let from = offset.next_multiple_of(PAGE);
        let until = (offset + length) / PAGE * PAGE;
        if until <= from {
            return Ok(());
        }
        match self.file(number) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            there => there?,
        };
        let file = self.disk.create(&self.path(number), Access::Buffered)?;
        file.punch(from, until - from)
    }

    /// Removes a segment's file.
    pub fn remove(&self, number: u32) -> io::Result<()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        self.disk.remove(&self.path(number))
    }

    /// Makes the file of a segment. One that holds anything stays as it is: whoever took its number
    /// for a free one knows less than there is.
    fn create(&self, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.write(number)?;
        if file.length()? > 0 {
            let text = format!("segment {number} holds data, wanted a new one");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        self.disk.sync_folder(&self.folder)?;
        Ok(file)
    }
}

fn number_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_suffix(".seg")?;
    (name.len() == 8).then(|| name.parse().ok()).flatten()
}

/// Whether a segment's first page is that of this segment.
pub(crate) fn is_first_page(page: &[u8], number: u32) -> bool {
    page.starts_with(&MAGIC) && page.get(8..12) == Some(number.to_be_bytes().as_slice())
}

/// The end of the last segment, where batches are appended.
pub(crate) struct Tail {
    segments: Arc<Segments>,
    active: Option<Active>,
    batch: AVec<u8, ConstAlign<PAGE_BYTES>>,
}

struct Active {
    number: u32,
    file: Arc<dyn DiskFile>,
    /// The committed length; always whole pages.
    end: u64,
}

impl Tail {
    /// Appends to a new segment when the first batch comes.
    pub fn new(segments: Arc<Segments>, batch_bytes: usize) -> Tail {
        let batch = AVec::with_capacity(PAGE_BYTES, batch_bytes + (2 << 20));
        Tail { segments, active: None, batch }
    }

    /// Goes on at the committed end of a segment; what a crash left behind it is cut off.
    pub fn resume(&mut self, number: u32, end: u64) -> io::Result<()> {
        let file = self.segments.write(number)?;
        file.set_len(end)?;
        self.active = Some(Active { number, file, end });
        Ok(())
    }

    /// The segment that is appended to, and its committed length.
    pub fn active(&self) -> Option<(u32, u64)> {
        self.active.as_ref().map(|active| (active.number, active.end))
    }

    /// Opens a segment.
    pub fn begin_segment(&mut self, number: u32) -> io::Result<()> {
        let file = self.segments.create(number)?;
        self.active = Some(Active { number, file, end: 0 });
        Ok(())
    }

    /// Appends no more to this segment.
    pub fn close_segment(&mut self) {
        self.active = None;
    }

    /// Adds a record to the batch: the only time that a block is copied.
    ///
    /// # Panics
    /// When no segment was begun.
    pub fn append(&mut self, record: &Record, block: &[u8]) -> Place {
        let active = self.active.as_ref().expect("a segment was begun");
        if active.end == 0 && self.batch.is_empty() {
            self.batch.extend_from_slice(&MAGIC);
            self.batch.extend_from_slice(&active.number.to_be_bytes());
            self.batch.resize(PAGE_BYTES, 0);
        }
        let crc = crc32fast::hash(block);
        let head = write_head(record, crc);
        let place = Place {
            segment: active.number,
            offset: active.end + length(self.batch.len()),
            head: u32::try_from(head.len()).expect("a head is under 4 GiB"),
            size: u32::try_from(block.len()).expect("a block is under 4 GiB"),
            crc,
        };
        self.batch.extend_from_slice(&head);
        self.batch.extend_from_slice(block);
        place
    }

    /// Bytes waiting to be written.
    pub fn waiting(&self) -> usize {
        self.batch.len()
    }

    /// Writes the batch and makes it durable; the length that the segment has then.
    pub fn write(&mut self) -> io::Result<u64> {
        let active = self.active.as_ref().expect("a segment was begun");
        self.batch.resize(self.batch.len().next_multiple_of(PAGE_BYTES), 0);
        active.file.write_at(&self.batch, active.end)?;
        active.file.sync()?;
        Ok(active.end + length(self.batch.len()))
    }

    /// The batch is in the index: the next one follows it.
    pub fn accept(&mut self) {
        if let Some(active) = &mut self.active {
            active.end += length(self.batch.len());
        }
        self.batch.clear();
    }

    /// The batch failed: none of it waits any more.
    pub fn drop_batch(&mut self) {
        self.batch.clear();
    }

    /// A batch failed. Nobody knows what the end of a file holds after an I/O error, so this one
    /// is cut at its committed length, and the next batch goes to a new segment. Until it is cut,
    /// what is read behind that length may never become durable.
    pub fn abandon(&mut self, committed: u64) -> io::Result<()> {
        if let Some(active) = &self.active {
            active.file.set_len(committed)?;
        }
        self.active = None;
        Ok(())
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a buffer is under 2^64 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeKey;
    use crate::disk::SystemDisk;
    use cid::multihash::Multihash;

    #[test]
    fn a_segment_that_holds_data_is_not_begun_again() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let segments = Arc::new(Segments::new(Arc::new(SystemDisk), folder.path().to_owned()));
        let key = NodeKey { codec: 0x55, multihash: Multihash::wrap(0x12, &[7; 32]).expect("digest fits") };
        let record = Record { key, holder: None, with_block: true, size: 5, links: Vec::new() };
        let mut tail = Tail::new(Arc::clone(&segments), 1 << 20);
        tail.begin_segment(0).expect("it is new");
        let place = tail.append(&record, b"bytes");
        tail.write().expect("it is written");

        let mut another = Tail::new(Arc::clone(&segments), 1 << 20);
        let refused = another.begin_segment(0).expect_err("it holds a record");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(segments.read(&place).expect("it reads").as_deref(), Some(&b"bytes"[..]));
        another.begin_segment(1).expect("this one is new");
    }
}
