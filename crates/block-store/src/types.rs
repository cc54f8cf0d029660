//! What goes into the store and comes out of it: options, puts, answers and errors.
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use pinrail_domain::DagSize;
use pinrail_spec::multicodec::RAW;
use tokio::sync::mpsc::UnboundedSender;

use crate::NodeKey;

/// How a block store behaves. Sizes are in bytes.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Free bytes of the file system that fetches never use up.
    pub reserve: u64,
    /// Size of the file that is given up at the reserve, so that deletes, which write before they
    /// free, can go on.
    pub ballast: u64,
    /// A segment that has grown this large is closed, and the next batch opens another.
    pub segment_size: u64,
    /// A batch is committed when it holds this many bytes.
    pub batch_bytes: usize,
    /// A batch is committed when it holds this many blocks.
    pub batch_blocks: usize,
    /// The index is saved after so many blocks: a crash means reading no more than these again.
    pub save_blocks: usize,
    /// The index is saved after so many bytes of blocks.
    pub save_bytes: usize,
    /// The log of roots is written anew when it is longer than this and mostly history.
    pub log_bytes: u64,
    /// Memory for the index's pages.
    pub cache_bytes: usize,
    /// One step of collection touches this many nodes and links at most; puts wait for it.
    pub collect_nodes: usize,
    /// How long the blocks of a failed root are kept, in milliseconds.
    pub keep_failed_ms: u64,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            reserve: 1 << 30,
            ballast: 256 << 20,
            segment_size: 256 << 20,
            batch_bytes: 16 << 20,
            batch_blocks: 4096,
            save_blocks: 32_768,
            save_bytes: 256 << 20,
            log_bytes: 1 << 20,
            cache_bytes: 64 << 20,
            collect_nodes: 65_536,
            keep_failed_ms: 24 * 60 * 60 * 1000,
        }
    }
}

/// One verified block of the fetch of `root`.
///
/// The store does not hash: whoever puts a block has checked its bytes against `key`.
#[derive(Debug)]
pub struct Put {
    /// The root that is being fetched.
    pub root: NodeKey,
    /// The epoch that the fetch began with.
    pub epoch: u64,
    /// The node.
    pub key: NodeKey,
    /// The block.
    pub bytes: Bytes,
    /// The nodes that the block links to; repeated ones count once.
    pub links: Vec<NodeKey>,
    /// Where the answer goes once the block is durable, or could not be made so.
    pub done: UnboundedSender<Committed>,
}

/// A node of the fetch of `root` whose bytes the store has already, under another codec.
#[derive(Debug)]
pub struct Adopt {
    /// The root that is being fetched.
    pub root: NodeKey,
    /// The epoch that the fetch began with.
    pub epoch: u64,
    /// The node.
    pub key: NodeKey,
    /// The nodes that the block links to; repeated ones count once.
    pub links: Vec<NodeKey>,
    /// Where the answer goes; [`StoreError::Absent`] when the bytes are not there (any more).
    pub done: UnboundedSender<Committed>,
}

/// The answer to a [`Put`] or an [`Adopt`].
#[derive(Debug)]
pub struct Committed {
    /// The node.
    pub key: NodeKey,
    /// The length of its block.
    pub size: u32,
    /// Its distinct links that are not committed nodes, in the order of the links; decided in the
    /// transaction that committed the node, blocks of the same batch included.
    pub missing: Vec<NodeKey>,
    /// Whether the node is durable; otherwise it is to be put again.
    pub result: Result<(), StoreError>,
}

/// A committed node, from the index alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLinks {
    /// Its distinct links in their order, without raw identity ones (see
    /// [`NodeKey::is_inline_leaf`]).
    pub links: Vec<NodeKey>,
    /// The length of its block.
    pub size: u32,
}

/// What a walk from a root over committed nodes found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The committed nodes that were reached. Identity blocks are part of their parents and not counted.
    pub totals: DagSize,
    /// Nodes that are linked to and not committed, up to the limit that was asked for.
    pub holes: Vec<NodeKey>,
}

/// What the store knows of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootState {
    /// The highest epoch that was accepted for it.
    pub epoch: u64,
    /// Whether the whole DAG was committed when [`finish`](crate::BlockStore::finish) walked it.
    pub pinned: bool,
    /// The DAG's size when pinned, otherwise zero.
    pub totals: DagSize,
}

/// What one step of collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blocks that are gone from the index.
    pub blocks: u64,
    /// The bytes of their records.
    pub bytes: u64,
    /// Whether another step would find work.
    pub more: bool,
}

/// How full the disk is. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Free on the file system.
    pub free: u64,
    /// What fetches leave free.
    pub reserve: u64,
    /// Whether fetches pause: one batch more would reach into the reserve.
    pub full: bool,
    /// Live records.
    pub used: u64,
}

/// Why the store did not do as it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another store of this one, has the folder open.
    #[error("block store {} is in use by another process, wanted one worker for each folder", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be created, read or written.
    #[error("block store {} cannot be used", .folder.display())]
    Folder {
        /// The store's folder.
        folder: PathBuf,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// The root was taken over since: whoever asks holds an old lease.
    #[error("epoch is {given}, wanted {held} or higher")]
    StaleEpoch {
        /// The epoch of the call.
        given: u64,
        /// The epoch of the root.
        held: u64,
    },
    /// The call belongs to a fetch that was not begun at this epoch, or has ended.
    #[error("root is not being fetched at this epoch, wanted a begin before")]
    NotBegun,
    /// The bytes to adopt are not in the store.
    #[error("bytes of the block are not in the store, wanted a put")]
    Absent,
    /// The DAG is not whole: some of the nodes that are linked to and not committed.
    #[error("DAG has holes, {} or more nodes are missing", .0.len())]
    Holes(Vec<NodeKey>),
    /// What is on disk is not what was written; it is not served.
    #[error("block {} is damaged on disk", cid::Cid::new_v1(RAW, **.0))]
    Corrupt(Box<cid::multihash::Multihash<64>>),
    /// The reserve or the disk itself is used up; nothing was lost, and it works again once there
    /// is room.
    #[error("storage is full")]
    StorageFull,
    /// The disk failed otherwise.
    #[error("disk failed")]
    Io(#[source] Arc<io::Error>),
    /// The index failed.
    #[error("index of the block store failed")]
    Index(#[source] Arc<dyn Error + Send + Sync>),
    /// The store was closed, or its disk failed and the index could not be opened again so far.
    #[error("block store is closed")]
    Closed,
}

impl StoreError {
    /// A failure of the index, by an error or a sentence.
    pub(crate) fn index(source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::Index(source.into().into())
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::StorageFull,
            _ => StoreError::Io(Arc::new(error)),
        }
    }
}
