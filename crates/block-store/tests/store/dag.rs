//! Small DAGs to put into a store, and a store to put them into.
use bytes::Bytes;
use multihash_codetable::{Code, MultihashDigest};
use pinrail_block_store::{BlockStore, Collected, Committed, NodeKey, Put, StoreError, StoreOptions};
use tempfile::TempDir;
use tokio::sync::mpsc;

pub const RAW: u64 = 0x55;
pub const DAG_PB: u64 = 0x70;

/// A block and what it links to.
#[derive(Clone, Debug)]
pub struct Block {
    pub key: NodeKey,
    pub bytes: Bytes,
    pub links: Vec<NodeKey>,
}

/// A block without links.
pub fn leaf(text: &str) -> Block {
    block(RAW, text.as_bytes().to_vec(), &[])
}

/// A block that names and links to others.
pub fn parent(text: &str, children: &[&Block]) -> Block {
    let mut bytes = text.as_bytes().to_vec();
    for child in children {
        bytes.extend_from_slice(&child.key.to_cid().to_bytes());
    }
    block(DAG_PB, bytes, children)
}

pub fn block(codec: u64, bytes: Vec<u8>, children: &[&Block]) -> Block {
    let multihash = Code::Sha2_256.digest(&bytes);
    Block {
        key: NodeKey { codec, multihash },
        bytes: Bytes::from(bytes),
        links: children.iter().map(|child| child.key).collect(),
    }
}

/// The same bytes under another codec.
pub fn read_as(block: &Block, codec: u64, links: &[&Block]) -> Block {
    let key = NodeKey { codec, multihash: block.key.multihash };
    let links = links.iter().map(|link| link.key).collect();
    Block { key, bytes: block.bytes.clone(), links }
}

/// Options for tests: nothing reserved, small segments.
pub fn options() -> StoreOptions {
    StoreOptions {
        reserve: 0,
        ballast: 0,
        segment_size: 1 << 20,
        batch_bytes: 1 << 20,
        collect_nodes: 16_384,
        cache_bytes: 4 << 20,
        ..StoreOptions::default()
    }
}

/// A store in a folder of its own.
pub struct Fixture {
    pub store: BlockStore,
    pub folder: TempDir,
}

impl Fixture {
    pub fn new() -> Fixture {
        let folder = tempfile::tempdir().expect("a folder is made");
        let store = BlockStore::open(folder.path(), options()).expect("it opens");
        Fixture { store, folder }
    }

    /// Closes and opens it.
    pub fn reopen(self) -> Fixture {
        let Fixture { store, folder } = self;
        drop(store);
        let store = BlockStore::open(folder.path(), options()).expect("it opens again");
        Fixture { store, folder }
    }
}

/// Puts blocks in this order and waits for the answers.
pub fn put(store: &BlockStore, root: NodeKey, epoch: u64, blocks: &[&Block]) -> Vec<Committed> {
    let (done, mut answers) = mpsc::unbounded_channel();
    for block in blocks {
        store.put(put_of(root, epoch, block, &done));
    }
    drop(done);
    std::iter::from_fn(|| answers.blocking_recv()).collect()
}

pub fn put_of(root: NodeKey, epoch: u64, block: &Block, done: &mpsc::UnboundedSender<Committed>) -> Put {
    Put { root, epoch, key: block.key, bytes: block.bytes.clone(), links: block.links.clone(), done: done.clone() }
}

/// Puts one block.
pub fn put_one(store: &BlockStore, root: NodeKey, epoch: u64, block: &Block) -> Committed {
    put(store, root, epoch, &[block]).pop().expect("one answer")
}

/// Begins, puts and finishes a root; the first block is the root.
pub fn pin(store: &BlockStore, epoch: u64, blocks: &[&Block]) {
    let root = blocks[0].key;
    store.begin(root, epoch).expect("it begins");
    for committed in put(store, root, epoch, blocks) {
        committed.result.expect("it is committed");
    }
    store.finish(root, epoch).expect("it is whole");
}

/// Collects until there is nothing left to do.
pub fn collect_all(store: &BlockStore, now_ms: u64) -> Collected {
    let mut all = Collected::default();
    loop {
        let step = store.collect(now_ms).expect("it collects");
        all.blocks += step.blocks;
        all.bytes += step.bytes;
        if !step.more {
            return all;
        }
    }
}

pub fn has(store: &BlockStore, block: &Block) -> bool {
    match store.read(&block.key.multihash) {
        Ok(Some(bytes)) => {
            assert_eq!(bytes, block.bytes);
            true
        }
        Ok(None) => {
            assert_eq!(store.size(&block.key.multihash).expect("it answers"), None);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

pub fn assert_stale<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.expect_err("it is refused");
    assert!(matches!(error, StoreError::StaleEpoch { .. }), "{error}");
}
