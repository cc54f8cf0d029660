//! How fast one node fetches from another on this machine, both durable; prints one line of JSON.
//!
//! `cargo run --release --example transfer_bench [all|large|small|folder] [FOLDER]`; the stores go to a folder of the
//! system's temporary one unless another is named.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use pinrail_block_store::{BlockStore, NodeKey, Put, StoreOptions};
use pinrail_domain::DagSize;
use pinrail_ipfs_embedded::{DialPolicy, FetchRequest, Keypair, Node, NodeLimits, NodeOptions, RoutingOptions};
use pinrail_spec::multicodec::{DAG_PB, RAW};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// A DAG to transfer: so many leaves of that size, each child of a node with that many links.
struct Shape {
    name: &'static str,
    leaves: u64,
    size: usize,
    width: usize,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "large", leaves: 4_096, size: 256 << 10, width: 174 },
    Shape { name: "small", leaves: 20_000, size: 1 << 10, width: 1_024 },
    Shape { name: "folder", leaves: 5_000, size: 1_000, width: 5_000 },
];

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_else(|| "all".to_owned());
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut lines = vec![machine(&parent)];
    for shape in SHAPES.iter().filter(|shape| wanted == "all" || wanted == shape.name) {
        let folder = tempfile::tempdir_in(&parent).expect("a temporary folder");
        lines.push(measure(shape, folder.path()).await);
    }
    println!("{{{}}}", lines.join(","));
}

/// What this machine could do at most: SHA-256 on one core, and batches of 16 MiB that are synced one by one.
fn machine(parent: &Path) -> String {
    let batch = content(16 << 20, 1);
    let rate = |run: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..16).for_each(|_| run());
        256.0 / begun.elapsed().as_secs_f64()
    };
    let hashed = rate(&mut || {
        std::hint::black_box(Code::Sha2_256.digest(&batch));
    });
    let mut file = tempfile::tempfile_in(parent).expect("a temporary file");
    let synced = rate(&mut || {
        file.write_all(&batch).expect("room for it");
        file.sync_data().expect("a disk that syncs");
    });
    format!(r#""machine":{{"sha256_mib_per_second":{hashed:.0},"synced_mib_per_second":{synced:.0}}}"#)
}

async fn measure(shape: &Shape, folder: &Path) -> String {
    let source = start(&folder.join("source")).await;
    let sink = start(&folder.join("sink")).await;
    let root = fill(source.store(), shape).await;
    let request = FetchRequest {
        root: NodeKey::from(&root),
        account: None,
        epoch: 1,
        origins: watch::channel(source.addresses()).1,
        max_bytes: u64::MAX,
        max_blocks: u64::MAX,
        progress: watch::channel(DagSize::default()).0,
        stall_timeout: Duration::from_mins(1),
        no_source_timeout: Duration::from_secs(10),
        answer_timeout: None,
    };
    let begun = Instant::now();
    let totals = sink.fetch(request).await.expect("it is fetched");
    let seconds = begun.elapsed().as_secs_f64();
    let number = |count: u64| f64::from(u32::try_from(count).expect("less than 4 TiB"));
    let (blocks, mib) = (number(totals.blocks) / seconds, number(totals.bytes >> 10) / 1024.0 / seconds);
    format!(r#""{}":{{"seconds":{seconds:.2},"blocks_per_second":{blocks:.0},"mib_per_second":{mib:.1}}}"#, shape.name)
}

async fn start(folder: &Path) -> Node {
    let options = NodeOptions {
        keypair: Keypair::generate_ed25519(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr")],
        announce: Vec::new(),
        dial: DialPolicy { allow_private: true, never: Vec::new() },
        limits: NodeLimits::default(),
        routing: RoutingOptions::default(),
    };
    let store = BlockStore::open(folder, StoreOptions::default()).expect("the store opens");
    Node::start(options, store).await.expect("the node starts")
}

/// Put the DAG into the store, leaves first, and return its root.
async fn fill(store: &BlockStore, shape: &Shape) -> Cid {
    let hold = NodeKey::from(&Cid::new_v1(RAW, Code::Sha2_256.digest(b"hold")));
    store.begin(hold, 1).expect("it begins");
    let (done, mut committed) = mpsc::unbounded_channel();
    let put = |cid: Cid, bytes: Vec<u8>, links: &[Cid]| {
        let links = links.iter().map(NodeKey::from).collect();
        let (key, bytes) = (NodeKey::from(&cid), Bytes::from(bytes));
        store.import(Put { root: hold, epoch: 1, key, bytes, links, done: done.clone() });
    };
    let mut level = Vec::new();
    for index in 0..shape.leaves {
        let bytes = content(shape.size, index + 1);
        let cid = Cid::new_v1(RAW, Code::Sha2_256.digest(&bytes));
        put(cid, bytes, &[]);
        level.push(cid);
        // At most so many blocks are in memory.
        if index >= 256 {
            committed.recv().await.expect("an answer").result.expect("it is stored");
        }
    }
    while level.len() > 1 {
        let parents = level.chunks(shape.width).map(|children| {
            let bytes = node(children);
            let cid = Cid::new_v1(DAG_PB, Code::Sha2_256.digest(&bytes));
            put(cid, bytes, children);
            cid
        });
        level = parents.collect();
    }
    drop(done);
    let root = NodeKey::from(&level[0]);
    let (pinned, hold_store) = (store.clone(), store.clone());
    tokio::task::spawn_blocking(move || {
        pinned.begin(root, 1).expect("it begins");
        pinned.finish(root, 1).expect("it is whole");
        hold_store.release(hold, 1).expect("it is released");
    })
    .await
    .expect("it ends");
    level[0]
}

fn node(links: &[Cid]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for link in links {
        let cid = link.to_bytes();
        let length = u8::try_from(cid.len()).expect("a short CID");
        bytes.extend([0x12, length + 6, 0x0a, length]);
        bytes.extend(cid);
        bytes.extend([0x12, 0, 0x18, 0]);
    }
    bytes.extend([0x0a, 2, 0x08, 1]);
    bytes
}

/// Bytes that no compression could shorten and that differ with the seed.
fn content(size: usize, seed: u64) -> Vec<u8> {
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
