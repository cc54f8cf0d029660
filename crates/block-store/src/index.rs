//! The index: a redb database on the store's own disk, opened again when the disk failed under it.
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    WriteTransaction,
};

use crate::StoreError;
use crate::disk::{Access, Disk, DiskFile};

/// A multihash to its [`Block`](crate::row::Block).
pub(crate) const BLOCKS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("blocks");
/// A node's number to its [`Node`](crate::row::Node). Numbers are given in the order in which nodes
/// are first heard of and never used again, so a DAG's rows lie together.
pub(crate) const NODES: TableDefinition<u64, &[u8]> = TableDefinition::new("nodes");
/// A node's number to how many committed nodes link to it and roots hold it; no row at none.
pub(crate) const COUNTS: TableDefinition<u64, u64> = TableDefinition::new("counts");
/// A root's key to its [`Root`](crate::row::Root).
pub(crate) const ROOTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("roots");
/// A root's number and a node that it holds until it is finished, though no link leads there yet.
pub(crate) const HOLDS: TableDefinition<(u64, u64), ()> = TableDefinition::new("holds");
/// Roots whose holds are to be dropped, by number.
pub(crate) const DROPS: TableDefinition<u64, ()> = TableDefinition::new("drops");
/// Nodes to be looked at for deletion. **Invariant:** a node without a count is always in here.
pub(crate) const WORK: TableDefinition<u64, ()> = TableDefinition::new("work");
/// When (in milliseconds) a root's failure or release is to be looked at, and its key.
pub(crate) const DUE: TableDefinition<(u64, &[u8]), ()> = TableDefinition::new("due");
/// A segment to its committed length, and the bytes and number of its live records.
pub(crate) const SEGMENTS: TableDefinition<u32, (u64, u64, u64)> = TableDefinition::new("segments");
/// Segment, offset and length of dead records whose disk is still to be given back.
pub(crate) const PUNCHES: TableDefinition<(u32, u64), u64> = TableDefinition::new("punches");
/// Numbers of the store: see the names below.
pub(crate) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// The next node's number.
pub(crate) const NEXT_NODE: &str = "next node";
/// The next segment's number.
pub(crate) const NEXT_SEGMENT: &str = "next segment";
/// How the rows are written; another number is another program's index.
pub(crate) const FORMAT: &str = "format";
const THIS_FORMAT: u64 = 1;

/// The open database. Readers hold the lock shared for as long as they read, so that it is never
/// opened again under them.
#[derive(Debug)]
pub(crate) struct Index {
    database: RwLock<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    database: Database,
    /// Whether the disk failed under it: redb refuses everything from then on.
    failed: Arc<AtomicBool>,
}

impl Index {
    /// Opens the index at `path`, or makes an empty one. What was saved is there, and the last change
    /// whole or not at all.
    ///
    /// A change whose last sync failed is seen although a crash would undo it, so it is saved again
    /// before anybody acts on it: the disk of what it deleted is given back.
    pub fn open(disk: &dyn Disk, path: &Path, cache_bytes: usize) -> Result<Index, StoreError> {
        let open = open_database(disk, path, cache_bytes)?;
        change(&open.database, true, make_tables)?;
        Ok(Index { database: RwLock::new(Some(open)) })
    }

    /// Whether nothing can be read or changed until another index takes the place of this one: the
    /// disk failed under it, or it was closed.
    pub fn is_lost(&self) -> bool {
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().is_none_or(|open| open.failed.load(Ordering::Acquire))
    }

    /// Refuses everything from now on, once those who read have done so.
    pub fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Puts another index in the place of this one, for everybody.
    pub fn replace(&self, other: Index) {
        let other = other.database.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = other;
    }

    /// Reads one snapshot.
    pub fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_ref().ok_or(StoreError::Closed)?;
        read(&open.database.begin_read().map_err(failed)?)
    }

    /// Changes the index in one transaction; an error leaves it as it was. A crash may undo the
    /// change, until a later one is saved.
    pub fn write<T>(&self, wanted: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.change(false, wanted)
    }

    /// As [`write`](Index::write), and makes this change and all before it durable.
    pub fn save<T>(&self, wanted: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.change(true, wanted)
    }

    fn change<T>(
        &self,
        durable: bool,
        wanted: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        change(&open.as_ref().ok_or(StoreError::Closed)?.database, durable, wanted)
    }
}

fn change<T>(
    database: &Database,
    durable: bool,
    wanted: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write().map_err(failed)?;
    if durable {
        // Otherwise opening after a crash reads the whole index.
        transaction.set_quick_repair(true);
    } else {
        let set = transaction.set_durability(Durability::None);
        set.map_err(StoreError::index)?;
    }
    let changed = wanted(&transaction)?;
    transaction.commit().map_err(failed)?;
    Ok(changed)
}

/// Readers of a new index find every table. Writes the format each time, so that there is something
/// to save.
fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(BLOCKS).map_err(failed)?;
    transaction.open_table(NODES).map_err(failed)?;
    transaction.open_table(COUNTS).map_err(failed)?;
    transaction.open_table(ROOTS).map_err(failed)?;
    transaction.open_table(HOLDS).map_err(failed)?;
    transaction.open_table(DROPS).map_err(failed)?;
    transaction.open_table(WORK).map_err(failed)?;
    transaction.open_table(DUE).map_err(failed)?;
    transaction.open_table(SEGMENTS).map_err(failed)?;
    transaction.open_table(PUNCHES).map_err(failed)?;
    let mut numbers = transaction.open_table(NUMBERS).map_err(failed)?;
    let format = numbers.get(FORMAT).map_err(failed)?.map_or(THIS_FORMAT, |format| format.value());
    if format != THIS_FORMAT {
        let text = format!("its format is {format}, wanted {THIS_FORMAT}");
        return Err(StoreError::index(text));
    }
    numbers.insert(FORMAT, THIS_FORMAT).map_err(failed)?;
    Ok(())
}

fn open_database(disk: &dyn Disk, path: &Path, cache_bytes: usize) -> Result<Open, StoreError> {
    let failure = Arc::new(AtomicBool::new(false));
    let backend = Backend { file: disk.create(path, Access::Buffered)?, failed: Arc::clone(&failure) };
    let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend).map_err(failed)?;
    Ok(Open { database, failed: failure })
}

/// redb's errors as the store's: what the disk said, if it was the disk.
pub(crate) fn failed(error: impl Into<redb::Error>) -> StoreError {
    let damage = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
    match error.into() {
        redb::Error::Io(error) if !damage.contains(&error.kind()) => StoreError::from(error),
        other => StoreError::index(other),
    }
}

/// A row that the index cannot hold unless it is damaged.
pub(crate) fn damaged(what: &str) -> StoreError {
    StoreError::index(format!("{what} is damaged, wanted an index that is made anew"))
}

/// redb's file on the store's disk.
#[derive(Debug)]
struct Backend {
    file: Arc<dyn DiskFile>,
    failed: Arc<AtomicBool>,
}

impl Backend {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|_| self.failed.store(true, Ordering::Release))
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.note(self.file.length())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note(self.file.read_at(out, offset))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.note(self.file.set_len(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(self.file.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(self.file.write_at(data, offset))
    }
}
