//! A disk in memory that fails when it is told to: it loses power, tears writes, fails syncs, is
//! full.
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use pinrail_block_store::{Access, Disk, DiskFile};

use crate::fault::{Dice, Fault, Moment};
use crate::platter::{Change, Inode, Platter, SECTOR, index};

/// The disk. Its changes are numbered, in the order in which they were asked for.
#[derive(Debug)]
pub struct SimDisk {
    state: Mutex<State>,
    turn: Condvar,
    locked: Arc<AtomicBool>,
}

#[derive(Debug)]
struct State {
    platter: Platter,
    /// Changes that were made, when there were no faults to come.
    journal: Vec<Change>,
    changes: usize,
    looks: usize,
    fault: Option<Fault>,
    /// How many changes and looks there were since the fault came first.
    since: Option<usize>,
    /// Whether files can be written past the cache.
    grants_direct: bool,
    /// The change from which on there is no power.
    off: usize,
    capacity: u64,
    held: bool,
    waiting: usize,
    dice: Dice,
}

impl SimDisk {
    pub fn new(platter: Platter) -> Arc<SimDisk> {
        SimDisk::failing(platter, None, usize::MAX, 0)
    }

    /// A disk with a fault to come, and the change from which on there is no power. An odd seed makes
    /// one whose files are all written through the cache.
    pub fn failing(platter: Platter, fault: Option<Fault>, off: usize, seed: u64) -> Arc<SimDisk> {
        let state = State {
            platter,
            journal: Vec::new(),
            changes: 0,
            looks: 0,
            fault,
            since: None,
            grants_direct: seed.is_multiple_of(2),
            off,
            capacity: u64::MAX,
            held: false,
            waiting: 0,
            dice: Dice(seed),
        };
        Arc::new(SimDisk { state: Mutex::new(state), turn: Condvar::new(), locked: Arc::default() })
    }

    /// The disk as the store knows it.
    pub fn handle(self: &Arc<SimDisk>) -> Arc<dyn Disk> {
        Arc::new(Mounted(Arc::clone(self)))
    }

    /// How many changes were asked for so far.
    pub fn changes(&self) -> usize {
        self.lock().changes
    }

    /// How many looks at it were asked for so far.
    pub fn looks(&self) -> usize {
        self.lock().looks
    }

    /// Whether its fault has come.
    pub fn is_struck(&self) -> bool {
        self.lock().since.is_some()
    }

    /// What is on it now.
    pub fn platter(&self) -> Platter {
        self.lock().platter.clone()
    }

    /// The changes that were made.
    pub fn journal(&self) -> Vec<Change> {
        self.lock().journal.clone()
    }

    /// Others leave so much free; none: plenty.
    pub fn leave(&self, free: Option<u64>) {
        let mut state = self.lock();
        state.capacity = free.map_or(u64::MAX, |free| state.platter.used() + free);
    }

    /// Runs `queue` while nothing is read or changed, once the store has begun something with `first`: what
    /// is queued in the meantime is one batch.
    pub fn hold(&self, first: impl FnOnce(), queue: impl FnOnce()) {
        self.lock().held = true;
        first();
        let state = self.lock();
        drop(self.turn.wait_while(state, |state| state.waiting == 0).expect("no panic"));
        queue();
        self.lock().held = false;
        self.turn.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// The state, once nothing holds the disk.
    fn enter(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if state.held {
            state.waiting += 1;
            self.turn.notify_all();
            state = self.turn.wait_while(state, |state| state.held).expect("no panic");
            state.waiting -= 1;
        }
        state
    }

    /// Looks at the disk, if there is power.
    fn look<T>(&self, look: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.enter();
        let fails = state.fails(true);
        state.looks += 1;
        if state.changes >= state.off || fails {
            return Err(broken());
        }
        look(&state)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.enter().change(change)
    }
}

impl State {
    fn change(&mut self, change: Change) -> io::Result<()> {
        let (at, fails) = (self.changes, self.fails(false));
        self.changes += 1;
        if at >= self.off {
            return Err(broken());
        }
        if fails {
            self.fail(&change);
            return Err(broken());
        }
        if matches!(self.fault, Some(Fault::Fill { at: from }) if at == from) {
            self.capacity = self.platter.used();
        }
        let growth = self.platter.growth(&change);
        if growth > 0 && self.capacity != u64::MAX && self.platter.used() + growth > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.platter.apply(&change);
        self.journal.push(change);
        Ok(())
    }

    /// Whether the fault comes now.
    fn fails(&mut self, is_look: bool) -> bool {
        let now = Moment { is_look, changes: self.changes, looks: self.looks, since: self.since };
        let fails = self.fault.is_some_and(|fault| fault.fails(now, &mut self.dice));
        self.since = match self.since {
            Some(since) => Some(since + 1),
            None => fails.then_some(0),
        };
        fails
    }

    /// Does by half what fails.
    fn fail(&mut self, change: &Change) {
        let dice = &mut self.dice;
        match change {
            Change::Write(inode, offset, bytes) => {
                for (number, sector) in (0..).zip(bytes.chunks(index(SECTOR))) {
                    if dice.roll(2) == 0 {
                        let write = Change::Write(*inode, offset + number * SECTOR, sector.into());
                        self.platter.apply(&write);
                    }
                }
            }
            Change::Sync(inode) => {
                let forget = dice.roll(2) == 0;
                self.platter.fail_sync(*inode, &mut || dice.roll(2) == 0, forget);
            }
            _ => {}
        }
    }
}

fn broken() -> io::Error {
    // EIO, whose kind has no stable name.
    io::Error::from_raw_os_error(5)
}

#[derive(Debug)]
struct Mounted(Arc<SimDisk>);

impl Disk for Mounted {
    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let there = self.0.look(|state| {
            let folder = path.parent().is_some_and(|folder| state.platter.has_folder(folder));
            if folder { Ok(state.platter.inode(path).is_some()) } else { Err(io::ErrorKind::NotFound.into()) }
        })?;
        if !there {
            self.0.change(Change::Create(path.to_owned()))?;
        }
        if access == Access::Direct {
            let mut state = self.0.lock();
            if let (true, Some(inode)) = (state.grants_direct, state.platter.inode(path)) {
                state.platter.set_direct(inode);
            }
        }
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.0.look(|state| state.platter.inode(path).ok_or(io::ErrorKind::NotFound.into()))?;
        Ok(Arc::new(SimFile { disk: Arc::clone(&self.0), inode }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().collect();
        for folder in above.into_iter().rev() {
            if !self.0.look(|state| Ok(state.platter.has_folder(folder)))? {
                self.0.change(Change::CreateFolder(folder.to_owned()))?;
            }
        }
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.look(|state| Ok(state.platter.list(folder)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.look(|state| state.platter.inode(from).ok_or(io::ErrorKind::NotFound.into()))?;
        self.0.change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.0.look(|state| Ok(state.platter.inode(path)))?.is_none() {
            return Ok(());
        }
        self.0.change(Change::Remove(path.to_owned()))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.change(Change::SyncFolder(folder.to_owned()))
    }

    fn free(&self, _folder: &Path) -> io::Result<u64> {
        self.0.look(|state| Ok(state.capacity.saturating_sub(state.platter.used())))
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let taken = self.0.locked.swap(true, Ordering::SeqCst);
        let lock = Lock(Arc::clone(&self.0.locked));
        Ok(if taken {
            std::mem::forget(lock);
            None
        } else {
            Some(Box::new(lock))
        })
    }
}

struct Lock(Arc<AtomicBool>);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Arc<SimDisk>,
    inode: Inode,
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        self.disk.look(|state| u64::try_from(state.platter.bytes(self.inode).len()).map_err(io::Error::other))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.look(|state| {
            let from = index(offset);
            let bytes = state.platter.bytes(self.inode).get(from..from + buffer.len());
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<()> {
        self.disk.change(Change::Write(self.inode, offset, buffer.into()))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.change(Change::SetLen(self.inode, length))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(Change::Sync(self.inode))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.disk.change(Change::Allocate(self.inode, length))
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.disk.change(Change::Punch(self.inode, offset, length))
    }
}
