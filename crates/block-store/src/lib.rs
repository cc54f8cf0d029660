//! The durable block store: blocks in append-only segments, nodes, links and counts in an index.
//!
//! One thread writes. It takes what has queued up, appends the blocks to a segment in one write past
//! the page cache, syncs it, and commits the index; only then is anybody told. Readers go by the
//! index's snapshot and read segments directly. Most commits of the index stay in memory: they are
//! saved every so often, and done again from the segments and the log of roots after a crash.
//!
//! **Invariant:** the index never names a record that is not durable. **Invariant:** a node is
//! deleted only in the transaction that finds its count at none, and that one is saved; what a fetch
//! has committed is counted by its links, or held for its root. **Invariant:** an index that was
//! opened again is neither read nor changed before it has caught up.
mod change;
mod collect;
mod command;
mod disk;
mod handle;
mod index;
mod key;
mod nodes;
mod open;
mod rebuild;
mod record;
mod replay;
mod root_log;
mod roots;
mod row;
mod scan;
mod segment;
mod space;
mod types;
mod walk;
mod writer;

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cid::multihash::Multihash;
use pinrail_domain::DagSize;

pub use disk::{Access, Disk, DiskFile, SystemDisk};
pub use key::NodeKey;
pub use scan::{RootPage, Scanned};
pub use space::Reserved;
pub use types::{Adopt, Collected, Committed, NodeLinks, Put, RootState, Space, StoreError, StoreOptions, Walk};

use command::{Command, RootCall, refused_node};
use handle::Handle;
use index::Index;
use nodes::Incoming;
use segment::Segments;
use space::Watch;
use walk::Nodes;

/// Holes that [`BlockStore::finish`] names at most.
const HOLES: usize = 4096;

/// The block store of one folder; clones share it. It is closed when the last one is dropped, after
/// everything that was queued has been committed.
///
/// All methods but [`put`](BlockStore::put), [`import`](BlockStore::import) and
/// [`adopt`](BlockStore::adopt) block on the disk.
#[derive(Clone, Debug)]
pub struct BlockStore(Arc<Handle>);

/// What readers and the writer share.
struct Shared {
    options: StoreOptions,
    index: Index,
    segments: Arc<Segments>,
    watch: Watch,
    /// Held while the store is open.
    _lock: Box<dyn Send + Sync>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl BlockStore {
    /// Opens the store in a folder, which is made if it is not there, and locks it.
    ///
    /// An index that is missing or damaged is made anew from the segments, which reads all of them.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<BlockStore, StoreError> {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        BlockStore::open_on(&disk, folder, options)
    }

    /// Opens a store on another disk than the system's.
    pub fn open_on(disk: &Arc<dyn Disk>, folder: &Path, options: StoreOptions) -> Result<BlockStore, StoreError> {
        open::open(disk, folder, options)
    }

    /// Whether a process has the store in a folder open; nobody has one that is not there.
    pub fn is_in_use(folder: &Path) -> io::Result<bool> {
        let lock = match File::open(folder.join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            lock => lock?,
        };
        match lock.try_lock_shared() {
            Ok(()) => lock.unlock().map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Makes the index of a closed store anew from its segments and the log of its roots.
    ///
    /// Blocks that were deleted while their records are still there come back, to be collected.
    /// Roots that are not whole are no longer pinned.
    pub fn rebuild_index(folder: &Path, options: &StoreOptions) -> Result<(), StoreError> {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let _lock = open::lock(disk.as_ref(), folder)?;
        rebuild::rebuild(&disk, folder, &folder.join("index.redb"), options)
    }

    /// The committed bytes with this multihash; identity multihashes carry their own.
    ///
    /// Bytes that are not what was written are [`StoreError::Corrupt`], never an answer; whoever
    /// learns of it may [`discard`](BlockStore::discard) them.
    pub fn read(&self, multihash: &Multihash<64>) -> Result<Option<Bytes>, StoreError> {
        if let Some(bytes) = key::identity_bytes(multihash) {
            return Ok(Some(Bytes::copy_from_slice(bytes)));
        }
        let shared = &self.0.shared;
        let mut place = self.place(multihash)?;
        while let Some(here) = place {
            match shared.segments.read(&here) {
                Ok(Some(bytes)) => return Ok(Some(Bytes::from(bytes))),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
            // It may have been deleted since the index was read, and its disk given back.
            place = self.place(multihash)?;
            if place == Some(here) {
                return Err(StoreError::Corrupt(Box::new(*multihash)));
            }
        }
        Ok(None)
    }

    fn place(&self, multihash: &Multihash<64>) -> Result<Option<row::Place>, StoreError> {
        let block = self.0.look(|snapshot| Nodes::new(snapshot)?.block(multihash))?;
        Ok(block.and_then(|block| block.place))
    }

    /// The length of the committed bytes with this multihash, from the index alone.
    pub fn size(&self, multihash: &Multihash<64>) -> Result<Option<u32>, StoreError> {
        if let Some(bytes) = key::identity_bytes(multihash) {
            return Ok(u32::try_from(bytes.len()).ok());
        }
        Ok(self.place(multihash)?.map(|place| place.size))
    }

    /// A committed node's links and size, from the index alone.
    pub fn links(&self, key: &NodeKey) -> Result<Option<NodeLinks>, StoreError> {
        if key.is_inline_leaf() {
            let size = self.size(&key.multihash)?;
            return Ok(size.map(|size| NodeLinks { links: Vec::new(), size }));
        }
        self.0.look(|snapshot| Nodes::new(snapshot)?.links(key))
    }

    /// Walks what is committed under a root: how much is there, and up to `hole_limit` nodes that
    /// are missing, depth first. A fetch resumes from these.
    pub fn walk(&self, root: &NodeKey, hole_limit: usize) -> Result<Walk, StoreError> {
        self.0.look(|snapshot| Nodes::new(snapshot)?.walk(root, hole_limit))
    }

    /// Starts or resumes holding a root at this epoch.
    ///
    /// A root that was pinned is being fetched again until it is finished. An older epoch is
    /// refused, also after a release.
    pub fn begin(&self, root: NodeKey, epoch: u64) -> Result<(), StoreError> {
        self.change_root(root, epoch, RootCall::Begin)
    }

    /// Queues one verified block of the fetch of a root, and never blocks. The answer is sent when
    /// the block is durable.
    ///
    /// A node that is put after one that links to it is kept by that link. See
    /// [`import`](BlockStore::import) for blocks in any order.
    pub fn put(&self, put: Put) {
        self.queue(Incoming {
            root: put.root,
            epoch: put.epoch,
            key: put.key,
            bytes: Some(put.bytes),
            links: put.links,
            any_order: false,
            done: put.done,
        });
    }

    /// As [`put`](BlockStore::put), for blocks that come in any order, as in a CAR: each is held for
    /// the root until it is finished or released.
    pub fn import(&self, put: Put) {
        self.queue(Incoming {
            root: put.root,
            epoch: put.epoch,
            key: put.key,
            bytes: Some(put.bytes),
            links: put.links,
            any_order: true,
            done: put.done,
        });
    }

    /// Makes a node of bytes that are committed already, under another codec.
    pub fn adopt(&self, adopt: Adopt) {
        self.queue(Incoming {
            root: adopt.root,
            epoch: adopt.epoch,
            key: adopt.key,
            bytes: None,
            links: adopt.links,
            any_order: false,
            done: adopt.done,
        });
    }

    fn queue(&self, incoming: Incoming) {
        let (key, done) = (incoming.key, incoming.done.clone());
        if self.0.send(Command::Node(incoming)).is_err() {
            // Whoever does not listen any more does not need to know.
            let _ = done.send(refused_node(key, StoreError::Closed));
        }
    }

    /// Walks the whole DAG of a root over what is committed and marks it pinned, durably.
    ///
    /// [`StoreError::Holes`] names nodes that are missing, 4,096 at most.
    pub fn finish(&self, root: NodeKey, epoch: u64) -> Result<DagSize, StoreError> {
        let walk = self.walk(&root, HOLES)?;
        if !walk.holes.is_empty() {
            return Err(StoreError::Holes(walk.holes));
        }
        self.change_root(root, epoch, RootCall::Finish(walk.totals))?;
        Ok(walk.totals)
    }

    /// Ends a fetch that failed for good; its blocks are kept for a while from `now_ms` on and then
    /// collected.
    pub fn fail(&self, root: NodeKey, epoch: u64, now_ms: u64) -> Result<(), StoreError> {
        let until = now_ms.saturating_add(self.0.shared.options.keep_failed_ms);
        self.change_root(root, epoch, RootCall::Fail(until))
    }

    /// Holds a root no longer; what nothing else leads to is left to
    /// [`collect`](BlockStore::collect). Releasing twice is fine.
    pub fn release(&self, root: NodeKey, epoch: u64) -> Result<(), StoreError> {
        self.change_root(root, epoch, RootCall::Release)
    }

    /// Gives up the bytes with this multihash after [`StoreError::Corrupt`]: their nodes are missing
    /// until they are put again. What they link to stays.
    pub fn discard(&self, multihash: &Multihash<64>) -> Result<(), StoreError> {
        self.0.ask(|reply| Command::Discard(*multihash, reply))
    }

    /// Does one bounded step of collection: releases failed roots whose time is over, deletes what
    /// nothing leads to, and gives its disk back.
    pub fn collect(&self, now_ms: u64) -> Result<Collected, StoreError> {
        self.0.ask(|reply| Command::Collect(now_ms, reply))
    }

    /// Looks at the free space; gives the ballast up when the reserve is reached, and makes it again
    /// when there is room.
    pub fn space(&self) -> Result<Space, StoreError> {
        self.0.shared.watch.look()
    }

    /// A reservation of disk for a fetch, of nothing yet.
    ///
    /// What is reserved is not there for other fetches, so that several near the reserve pause before
    /// they ask for blocks that cannot be stored.
    pub fn reserve(&self) -> Reserved {
        Reserved::new(Arc::clone(&self.0.shared))
    }

    fn change_root(&self, root: NodeKey, epoch: u64, call: RootCall) -> Result<(), StoreError> {
        self.0.ask(|reply| Command::Root(root, epoch, call, reply))
    }
}
