//! How full the disk is, and the ballast that is given up when it is.
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pinrail_domain::chain;

use crate::disk::{Access, Disk};
use crate::{Shared, Space, StoreError};

/// Watches the free space of the store's file system.
#[derive(Debug)]
pub(crate) struct Watch {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    reserve: u64,
    ballast: u64,
    batch: u64,
    /// Whether the ballast is there; locked while it is made or given up.
    has_ballast: Mutex<bool>,
    /// Live bytes, as of the last commit.
    used: AtomicU64,
    /// What all fetches have on its way to the disk.
    reserved: AtomicU64,
}

/// Reservations grow by this much, so that the file system is not asked for each block.
const STEP: u64 = 1 << 20;

/// Disk that one fetch has reserved for what is on its way; given up when dropped.
#[derive(Debug)]
pub struct Reserved {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Reserved {
    pub(super) fn new(shared: Arc<Shared>) -> Reserved {
        Reserved { shared, bytes: 0 }
    }

    /// Reserves at least so many bytes in place of what was reserved before. Where that is more,
    /// [`StoreError::StorageFull`] says that what others have reserved leaves no room for it, and
    /// nothing changes.
    pub fn set(&mut self, bytes: u64) -> Result<(), StoreError> {
        let bytes = bytes.next_multiple_of(STEP);
        if bytes > self.bytes {
            self.shared.watch.reserve(bytes - self.bytes)?;
        } else {
            self.shared.watch.unreserve(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shared.watch.unreserve(self.bytes);
    }
}

impl Watch {
    pub fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        reserve: u64,
        ballast: u64,
        batch: u64,
    ) -> Result<Watch, StoreError> {
        let there = match disk.open(&folder.join("ballast")) {
            Ok(file) => file.length()? == ballast,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        let has_ballast = Mutex::new(there);
        let (used, reserved) = (AtomicU64::new(0), AtomicU64::new(0));
        let watch = Watch { disk, folder, reserve, ballast, batch, has_ballast, used, reserved };
        watch.look()?;
        Ok(watch)
    }

    /// Looks at the disk: gives the ballast up at the reserve, makes it again when there is room.
    pub fn look(&self) -> Result<Space, StoreError> {
        let mut has_ballast = self.has_ballast.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.disk.free(&self.folder)?;
        // A ballast that is gone is owed before fetches go on.
        let owed = if *has_ballast { 0 } else { self.ballast };
        let full = free < self.reserve.saturating_add(owed).saturating_add(self.batch);
        if full && *has_ballast {
            self.disk.remove(&self.ballast_path())?;
            *has_ballast = false;
        } else if !full && !*has_ballast {
            *has_ballast = self.make_ballast();
        }
        Ok(Space { free, reserve: self.reserve, full, used: self.used.load(Ordering::Relaxed) })
    }

    /// Reserves bytes, if what is reserved already leaves room for them and one batch more.
    fn reserve(&self, bytes: u64) -> Result<(), StoreError> {
        let space = self.look()?;
        // Whoever else reserves meanwhile counts too, and takes its own back if both are too much.
        let reserved = self.reserved.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let floor = self.reserve.saturating_add(self.batch);
        if space.full || space.free.saturating_sub(floor) < reserved {
            self.unreserve(bytes);
            return Err(StoreError::StorageFull);
        }
        Ok(())
    }

    fn unreserve(&self, bytes: u64) {
        self.reserved.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Gives the ballast up at once: the disk said that it is full, whatever it says is free.
    pub fn give_up_ballast(&self) {
        let mut has_ballast = self.has_ballast.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_ballast && self.disk.remove(&self.ballast_path()).is_ok() {
            *has_ballast = false;
        }
    }

    /// The live bytes are so many.
    pub fn set_used(&self, used: u64) {
        self.used.store(used, Ordering::Relaxed);
    }

    /// The live bytes grew (or shrank) with a commit.
    pub fn grow(&self, growth: i64) {
        self.used.fetch_add(growth.cast_unsigned(), Ordering::Relaxed);
    }

    fn ballast_path(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Whether the ballast could be made; without it deletes may fail on a full disk, which is no
    /// reason to refuse blocks now.
    fn make_ballast(&self) -> bool {
        if self.ballast == 0 {
            return true;
        }
        let path = self.ballast_path();
        let made = self.disk.create(&path, Access::Buffered).and_then(|file| {
            file.set_len(0)?;
            file.allocate(self.ballast)
        });
        if let Err(error) = &made {
            tracing::warn!(error = chain(error), "ballast of the block store could not be made");
            let _ = self.disk.remove(&path);
        }
        made.is_ok()
    }
}
