//! A log of what roots were held, beside the index: segments tell of nodes alone, and an index that
//! is made anew must know what holds them.
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::NodeKey;
use crate::disk::{Access, Disk, DiskFile};
use crate::row::{Reader, Root};

/// An entry's length at most: two lengths, a CRC, a root's row and a key.
const ENTRY: u64 = 160;

/// How much of its end is written again when the log is opened; longer than any batch's changes.
const REWRITTEN: u64 = 4 << 20;

/// The log, to append to.
pub(crate) struct RootLog {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    file: Arc<dyn DiskFile>,
    end: u64,
    /// Whether a write failed, so that nobody knows what lies behind the end.
    torn: bool,
    /// Whether the file's name is not known to be durable: a crash may bring back the log that it
    /// took the place of.
    unnamed: bool,
}

impl RootLog {
    /// Opens the log of a folder; what a crash left half written is written over.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> io::Result<RootLog> {
        let file = disk.create(&path(folder), Access::Buffered)?;
        disk.sync_folder(folder)?;
        let bytes = read_all(file.as_ref())?;
        let end = entries(&bytes, |_, _| ());
        file.set_len(end)?;
        // The last changes are taken for true from now on, but whoever wrote them may have been killed
        // before the sync, or the sync may have failed: then what is read is in memory alone, and
        // another sync would not write it.
        let last = end.saturating_sub(REWRITTEN);
        let tail = usize::try_from(last).ok().zip(usize::try_from(end).ok());
        if let Some(tail) = tail.and_then(|(from, until)| bytes.get(from..until)) {
            file.write_at(tail, last)?;
        }
        file.sync()?;
        Ok(RootLog { disk, folder: folder.to_owned(), file, end, torn: false, unnamed: false })
    }

    /// Makes changes of roots durable; `None` is a root that is not known any more.
    pub fn append<'a>(&mut self, changes: impl Iterator<Item = (&'a NodeKey, Option<Root>)>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (key, root) in changes {
            write_entry(key, root, &mut bytes);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.cut()?;
        self.sync_name()?;
        self.torn = true;
        self.file.write_at(&bytes, self.end)?;
        self.file.sync()?;
        self.torn = false;
        self.end += length(&bytes);
        Ok(())
    }

    /// Cuts off what failed: entries behind a shorter one that is written over it would be read again
    /// as the latest.
    pub fn cut(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.end)?;
            self.torn = false;
        }
        Ok(())
    }

    fn sync_name(&mut self) -> io::Result<()> {
        if self.unnamed {
            self.disk.sync_folder(&self.folder)?;
            self.unnamed = false;
        }
        Ok(())
    }

    /// What the log says of each root in the end.
    pub fn read(&mut self) -> io::Result<HashMap<NodeKey, Root>> {
        self.cut()?;
        read(self.disk.as_ref(), &self.folder)
    }

    /// Whether more than half of a log is history, when so many roots are known; a log no longer than
    /// `small` is not worth writing anew.
    pub fn is_long(&self, roots: u64, small: u64) -> bool {
        self.end > small.max(2 * ENTRY * roots)
    }

    /// Writes the log anew with these roots alone.
    pub fn rewrite(&mut self, roots: impl Iterator<Item = (NodeKey, Root)>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (key, root) in roots {
            write_entry(&key, Some(root), &mut bytes);
        }
        let fresh = self.folder.join("roots.new");
        let file = self.disk.create(&fresh, Access::Buffered)?;
        file.set_len(0)?;
        file.write_at(&bytes, 0)?;
        file.sync()?;
        self.disk.rename(&fresh, &path(&self.folder))?;
        self.file = file;
        self.end = length(&bytes);
        self.torn = false;
        self.unnamed = true;
        self.sync_name()
    }
}

/// What the log says of each root in the end.
pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> io::Result<HashMap<NodeKey, Root>> {
    let mut roots = HashMap::new();
    let file = match disk.open(&path(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(roots),
        file => file?,
    };
    entries(&read_all(file.as_ref())?, |key, root| {
        match root {
            Some(root) => roots.insert(key, root),
            None => roots.remove(&key),
        };
    });
    Ok(roots)
}

fn path(folder: &Path) -> PathBuf {
    folder.join("roots.log")
}

fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Visits the whole entries; where they end.
fn entries(bytes: &[u8], mut visit: impl FnMut(NodeKey, Option<Root>)) -> u64 {
    let mut input = Reader(bytes);
    let mut end = 0;
    while let Some((key, root)) = read_entry(&mut input) {
        visit(key, root);
        end = length(bytes) - length(input.0);
    }
    end
}

fn write_entry(key: &NodeKey, root: Option<Root>, out: &mut Vec<u8>) {
    let mut entry = key.to_bytes();
    let key_length = u8::try_from(entry.len()).expect("a key is under 256 bytes");
    entry.extend(root.map(Root::to_bytes).unwrap_or_default());
    let entry_length = u8::try_from(entry.len()).expect("an entry is under 256 bytes");
    out.extend_from_slice(&[entry_length, key_length]);
    out.extend_from_slice(&crc32fast::hash(&entry).to_be_bytes());
    out.extend_from_slice(&entry);
}

fn read_entry(input: &mut Reader<'_>) -> Option<(NodeKey, Option<Root>)> {
    let entry_length = usize::from(input.u8()?);
    let key_length = usize::from(input.u8()?);
    let crc = input.u32()?;
    let entry = input.take(entry_length)?;
    if crc32fast::hash(entry) != crc {
        return None;
    }
    let (key, root) = entry.split_at_checked(key_length)?;
    let root = match root {
        [] => None,
        bytes => Some(Root::from_bytes(bytes)?),
    };
    Some((NodeKey::from_bytes(key)?, root))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a buffer is under 2^64 bytes")
}
