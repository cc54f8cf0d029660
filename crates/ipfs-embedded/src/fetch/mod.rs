//! Fetching a whole DAG: what is asked for and what comes of it.

mod finding;
mod session;
mod sources;
mod standing;
mod walk;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use tokio::sync::watch;

use pinrail_block_store::NodeKey;
use pinrail_domain::{DagSize, Phase};
use pinrail_ipfs::MAX_BLOCK_BYTES;

pub(crate) use session::fetch;

/// One DAG to fetch.
#[derive(Debug)]
pub struct FetchRequest {
    /// Its root.
    pub root: NodeKey,
    /// The account that it is fetched for, as a number that means nothing here: accounts take turns.
    pub account: Option<u128>,
    /// The epoch of the lease; the store refuses an older one than it has seen.
    pub epoch: u64,
    /// Where it is said to be; may grow meanwhile. Only addresses that end in `/p2p/<peer id>` count; of one
    /// that is nothing else the addresses are looked up.
    pub origins: watch::Receiver<Vec<Multiaddr>>,
    /// The most bytes that its blocks may have together.
    pub max_bytes: u64,
    /// The most blocks that it may have.
    pub max_blocks: u64,
    /// Told what is durable, as often as it changes.
    pub progress: watch::Sender<DagSize>,
    /// The fetch ends when blocks are wanted and none came for this long.
    pub stall_timeout: Duration,
    /// The fetch ends when nobody has what is missing for this long.
    pub no_source_timeout: Duration,
    /// The fetch ends sooner, once no origin is being dialled and every connected peer has answered that it lacks what
    /// is missing. A peer without an answer after this long is not waited for. `None`: only the timeout above counts.
    pub answer_timeout: Option<Duration>,
}

/// Blocks that were asked for and did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// One of them.
    pub block: NodeKey,
    /// How many more of them are known; those below them are not.
    pub more: u64,
    /// The peers that were asked for the one.
    pub peers: u64,
}

/// Why a fetch ended without the whole DAG.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// Nobody has it within the limit; what was tried, without addresses.
    #[error("no peer that has it was found: {tried}")]
    NotProvided {
        /// Whether it was a matter of finding or of reaching a peer.
        phase: Phase,
        /// How many peers were asked and how that went.
        tried: String,
        /// What nobody has: the root, or blocks below it.
        missing: Box<Missing>,
    },
    /// No block came for too long although a peer had it.
    #[error("no block came for {seconds} seconds, {received} blocks were received before")]
    Stalled {
        /// The limit.
        seconds: u64,
        /// What had come in this attempt.
        received: u64,
        /// What was asked for and did not come.
        missing: Missing,
    },
    /// A block under a hash function that we cannot check.
    #[error("block {cid} is hashed with {hash}, which is not supported")]
    UnsupportedHash {
        /// The block.
        cid: String,
        /// The function's name.
        hash: String,
    },
    /// A block in a codec that we cannot read for its links.
    #[error("block {cid} has the codec {codec:#x}, wanted raw, dag-pb, dag-cbor, dag-json, or a leaf of cbor or json")]
    UnsupportedCodec {
        /// The block.
        cid: String,
        /// Its codec.
        codec: u64,
    },
    /// A block that is not what its codec says.
    #[error("block {cid} is malformed: {why}")]
    Malformed {
        /// The block.
        cid: String,
        /// What is wrong with it.
        why: String,
    },
    /// A block with a link that cannot be followed.
    #[error("block {cid} links to a CID whose digest has {size} bytes, wanted at most 64")]
    LinkDigestTooLong {
        /// The block.
        cid: String,
        /// The digest's length.
        size: u64,
    },
    /// A block that is larger than other nodes send or take.
    #[error("block {cid} has {size} bytes, wanted at most {MAX_BLOCK_BYTES} (2 MiB)")]
    BlockTooLarge {
        /// The block.
        cid: String,
        /// Its size.
        size: usize,
    },
    /// The DAG is larger than it may be.
    #[error("the DAG has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The DAG has more blocks than it may have.
    #[error("the DAG has more than {limit} blocks")]
    TooManyBlocks {
        /// The limit.
        limit: u64,
    },
    /// No room on the disk; nothing that was received is lost.
    #[error("the storage is full")]
    StorageFull,
    /// The root was taken over since.
    #[error("a newer lease has this root")]
    StaleEpoch,
    /// The store or the node failed.
    #[error("the block store or the node is not available")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
}

impl FetchError {
    /// A store or a node that failed, by an error or a sentence.
    fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into().into())
    }
}
