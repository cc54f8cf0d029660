//! What all serving shares: memory for blocks on their way out, the disk, and wants that wait for their blocks.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use pinrail_ipfs::MAX_BLOCK_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lock::lock;
use crate::address_block::AddressBlock;

/// A message of one block, which is the largest that there is.
const LARGEST_KIB: usize = MAX_BLOCK_BYTES >> 10;
/// Messages that are read from the disk at once.
const DISK_READS: usize = 4;
/// Wants that are kept for all peers together until their blocks come, and for the peers of one address block.
const KEPT_WANTS: usize = 1 << 16;
const KEPT_WANTS_PER_BLOCK: usize = KEPT_WANTS / 8;

/// Memory for messages, granted in the order of asking.
struct Pool {
    kib: usize,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Pool {
    fn new(kib: usize) -> Arc<Self> {
        Arc::new(Self { kib, free: Arc::new(Semaphore::new(kib)), waiting: AtomicUsize::new(0) })
    }

    fn is_spare(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0 && self.free.available_permits() >= LARGEST_KIB
    }

    async fn take(self: &Arc<Self>, kib: usize) -> io::Result<Taken> {
        let kib = u32::try_from(kib.min(self.kib)).unwrap_or(u32::MAX);
        let waiting = Waiting::new(self);
        let permit = self.free.clone().acquire_many_owned(kib).await.map_err(io::Error::other)?;
        drop(waiting);
        Ok(Taken { pool: self.clone(), _permit: permit })
    }
}

/// Counts as waiting until it is dropped, also when the peer goes meanwhile.
struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    fn new(pool: &'a Pool) -> Self {
        pool.waiting.fetch_add(1, Ordering::Relaxed);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Taken {
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

/// Room for one message.
pub struct Room(Vec<Taken>);

impl Room {
    /// Whether others wait for room that this message takes.
    pub fn is_contended(&self) -> bool {
        self.0.iter().any(|taken| taken.pool.waiting.load(Ordering::Relaxed) > 0)
    }
}

/// What the peers of one address block may have of it.
pub struct Share {
    bytes: Arc<Pool>,
    wants: Arc<Semaphore>,
}

/// The process's budget.
pub struct ServeBudget {
    common: Arc<Pool>,
    slow: Arc<Pool>,
    known: Arc<Pool>,
    /// Reads from the disk.
    pub disk: Semaphore,
    wants: Arc<Semaphore>,
    shares: Mutex<HashMap<AddressBlock, Weak<Share>>>,
}

/// Whose budget a message counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A peer with a reason to be here.
    Known,
    /// Any other.
    Stranger,
    /// A stranger that took its last message slowly.
    Slow,
}

impl ServeBudget {
    /// A budget of about `bytes`: three eighths for strangers, of which the peers of one address block may have two,
    /// one for strangers that are slow, and half for known peers.
    pub fn new(bytes: usize) -> Self {
        let eighth = (bytes >> 13).max(1);
        Self {
            common: Pool::new(3 * eighth),
            slow: Pool::new(eighth),
            known: Pool::new(4 * eighth),
            disk: Semaphore::new(DISK_READS),
            wants: Arc::new(Semaphore::new(KEPT_WANTS)),
            shares: Mutex::default(),
        }
    }

    /// The share of an address block.
    pub fn share(&self, block: AddressBlock) -> Arc<Share> {
        let mut shares = lock(&self.shares);
        shares.retain(|_, share| share.strong_count() > 0);
        shares.get(&block).and_then(Weak::upgrade).unwrap_or_else(|| {
            let bytes = Pool::new(self.known.kib / 2);
            let share = Arc::new(Share { bytes, wants: Arc::new(Semaphore::new(KEPT_WANTS_PER_BLOCK)) });
            shares.insert(block, Arc::downgrade(&share));
            share
        })
    }

    /// Wait for room for a message of `bytes`. Strangers wait within their block's share first, so that those of one
    /// block cannot have all of it.
    pub async fn room(&self, reader: Reader, share: &Share, bytes: usize) -> io::Result<Room> {
        let kib = bytes.div_ceil(1024);
        Ok(Room(match reader {
            Reader::Known => vec![self.known.take(kib).await?],
            Reader::Stranger => vec![share.bytes.take(kib).await?, self.common.take(kib).await?],
            Reader::Slow => vec![self.slow.take(kib).await?],
        }))
    }

    /// Whether there is room for a message as large as any, for which nobody waits.
    pub fn is_spare(&self, reader: Reader, share: &Share) -> bool {
        match reader {
            Reader::Known => self.known.is_spare(),
            Reader::Stranger => share.bytes.is_spare() && self.common.is_spare(),
            Reader::Slow => self.slow.is_spare(),
        }
    }

    /// Room to keep a want until its block comes, if there is any.
    pub fn room_for_want(&self, share: &Share) -> Option<[OwnedSemaphorePermit; 2]> {
        Some([share.wants.clone().try_acquire_owned().ok()?, self.wants.clone().try_acquire_owned().ok()?])
    }

    /// Bytes that are held now, and the most that may be.
    pub fn usage(&self) -> (usize, usize) {
        let pools = [&self.common, &self.slow, &self.known];
        let free = pools.iter().map(|pool| pool.free.available_permits()).sum::<usize>();
        let all = pools.iter().map(|pool| pool.kib).sum::<usize>();
        (all.saturating_sub(free) << 10, all << 10)
    }

    /// Wants that are kept now.
    pub fn wants_kept(&self) -> usize {
        KEPT_WANTS - self.wants.available_permits()
    }
}
