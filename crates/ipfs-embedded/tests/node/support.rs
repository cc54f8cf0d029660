//! Nodes on loopback and DAGs to fetch.

use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use pinrail_block_store::{BlockStore, NodeKey, Put, StoreOptions};
use pinrail_domain::DagSize;
use pinrail_ipfs::links;
use pinrail_ipfs_embedded::{
    DialPolicy, FetchError, FetchRequest, Keypair, Multiaddr, Node, NodeError, NodeLimits, NodeOptions, RoutingOptions,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

pub use pinrail_spec::multicodec::{DAG_PB, RAW};

/// A block with its CID.
pub type Block = (Cid, Bytes);

/// A node with a store of its own.
pub struct TestNode {
    pub node: Node,
    pub keypair: Keypair,
    pub folder: TempDir,
}

impl TestNode {
    pub async fn start() -> Self {
        Self::resume(Keypair::generate_ed25519(), tempfile::tempdir().expect("a folder")).await
    }

    /// A node over a store that was there before.
    pub async fn resume(keypair: Keypair, folder: TempDir) -> Self {
        let node = Node::start(options(keypair.clone()), open_store(&folder)).await.expect("the node starts");
        Self { node, keypair, folder }
    }

    /// A node that dials public addresses only.
    pub async fn start_public() -> Self {
        Self::start_with(|options| options.dial = DialPolicy::default()).await.expect("the node starts")
    }

    /// A node with other options, if they allow it to start.
    pub async fn start_with(change: impl FnOnce(&mut NodeOptions)) -> Result<Self, NodeError> {
        let (keypair, folder) = (Keypair::generate_ed25519(), tempfile::tempdir().expect("a folder"));
        let mut options = options(keypair.clone());
        change(&mut options);
        Ok(Self { node: Node::start(options, open_store(&folder)).await?, keypair, folder })
    }

    /// A node that has a DAG.
    pub async fn with(root: Cid, blocks: &[Block]) -> Self {
        let node = Self::start().await;
        node.put(root, blocks).await;
        node
    }

    pub async fn put(&self, root: Cid, blocks: &[Block]) -> DagSize {
        put_blocks(self.node.store(), root, blocks).await;
        self.node.store().finish(NodeKey::from(&root), 1).expect("the DAG is whole")
    }

    /// Put some blocks of a DAG.
    pub async fn put_part(&self, root: Cid, blocks: &[Block]) {
        put_blocks(self.node.store(), root, blocks).await;
    }

    /// Fetch from the nodes at `origins`.
    pub async fn fetch(&self, root: Cid, origins: &[Multiaddr]) -> Result<DagSize, FetchError> {
        self.node.fetch(request(root, origins)).await
    }

    /// Fetch from the nodes at `origins` with all the patience that a busy machine takes.
    pub async fn fetch_patiently(&self, root: Cid, origins: &[Multiaddr]) -> Result<DagSize, FetchError> {
        let mut request = request(root, origins);
        request.no_source_timeout = Duration::from_mins(5);
        request.stall_timeout = Duration::from_mins(5);
        self.node.fetch(request).await
    }

    pub fn has(&self, cid: &Cid) -> bool {
        self.node.store().size(cid.hash()).expect("the store answers").is_some()
    }
}

pub fn options(keypair: Keypair) -> NodeOptions {
    NodeOptions {
        keypair,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr")],
        announce: Vec::new(),
        dial: DialPolicy { allow_private: true, never: Vec::new() },
        limits: NodeLimits::default(),
        routing: RoutingOptions::default(),
    }
}

/// A store in `folder`, which reserves nothing of the disk.
pub fn open_store(folder: &TempDir) -> BlockStore {
    let options = StoreOptions { reserve: 0, ballast: 0, ..StoreOptions::default() };
    BlockStore::open(folder.path(), options).expect("the store opens")
}

/// Until something is so.
pub async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A request with patience for a test.
pub fn request(root: Cid, origins: &[Multiaddr]) -> FetchRequest {
    FetchRequest {
        root: NodeKey::from(&root),
        account: None,
        epoch: 1,
        origins: watch::channel(origins.to_vec()).1,
        max_bytes: 1 << 30,
        max_blocks: u64::MAX,
        progress: watch::channel(DagSize::default()).0,
        stall_timeout: Duration::from_mins(1),
        no_source_timeout: Duration::from_secs(10),
        answer_timeout: None,
    }
}

/// Put blocks for `root` without saying that they are all.
pub async fn put_blocks(store: &BlockStore, root: Cid, blocks: &[Block]) {
    let root = NodeKey::from(&root);
    store.begin(root, 1).expect("it begins");
    let (done, mut committed) = mpsc::unbounded_channel();
    for (cid, bytes) in blocks {
        let found = links(cid.codec(), bytes).expect("well-formed").iter().map(NodeKey::from).collect();
        let key = NodeKey::from(cid);
        store.put(Put { root, epoch: 1, key, bytes: bytes.clone(), links: found, done: done.clone() });
    }
    for _ in blocks {
        committed.recv().await.expect("an answer").result.expect("it is stored");
    }
}

/// A block of `codec` hashed with `hash`.
pub fn block(codec: u64, hash: Code, bytes: impl Into<Bytes>) -> Block {
    let bytes = bytes.into();
    (Cid::new_v1(codec, hash.digest(&bytes)), bytes)
}

pub fn raw(bytes: impl Into<Bytes>) -> Block {
    block(RAW, Code::Sha2_256, bytes)
}

/// A dag-pb node with these links, without names.
pub fn dag_pb(links: &[Cid], data: &[u8]) -> Block {
    block(DAG_PB, Code::Sha2_256, dag_pb_bytes(links, data))
}

pub fn dag_pb_bytes(links: &[Cid], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for link in links {
        let cid = link.to_bytes();
        let mut inner = vec![0x0a];
        put_varint(&mut inner, cid.len());
        inner.extend(cid);
        inner.extend([0x12, 0, 0x18, 0]);
        bytes.push(0x12);
        put_varint(&mut bytes, inner.len());
        bytes.extend(inner);
    }
    bytes.push(0x0a);
    put_varint(&mut bytes, data.len());
    bytes.extend(data);
    bytes
}

pub fn dag_cbor(links: &[Cid], salt: &str) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(&(salt, links)).expect("it encodes")
}

pub fn dag_json(links: &[Cid], salt: &str) -> Vec<u8> {
    let links = links.iter().map(|link| format!(r#"{{"/":"{link}"}}"#)).collect::<Vec<_>>();
    format!(r#"{{"links":[{}],"salt":"{salt}"}}"#, links.join(",")).into_bytes()
}

/// A file of `count` raw leaves of `size` bytes each under one dag-pb node; the root comes last.
pub fn flat(count: usize, size: usize, salt: u64) -> Vec<Block> {
    let mut blocks = (0..count).map(|index| raw(content(size, salt << 32 | index as u64))).collect::<Vec<_>>();
    let leaves = blocks.iter().map(|(cid, _)| *cid).collect::<Vec<_>>();
    blocks.push(dag_pb(&leaves, b"file"));
    blocks
}

/// Bytes that differ with the seed.
pub fn content(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}
