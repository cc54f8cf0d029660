//! Measures the block store alone: `store_bench FOLDER` prints a line for each figure.
//!
//! Blocks are put as a fetch puts them, parents first and with a window of blocks under way, and are
//! durable when they count. Nothing is hashed: digests are made up.
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cid::multihash::Multihash;
use pinrail_ipfs_embedded::store::{BlockStore, Committed, NodeKey, Put, StoreOptions};
use tokio::sync::mpsc;

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
/// Links of each inner node, as UnixFS writers make them.
const FANOUT: usize = 174;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("wanted a folder to write to")?;
    let folder = Path::new(&folder);
    measure(&folder.join("large"), 4096, 256 << 10, 128)?;
    measure(&folder.join("small"), 200_000, 1 << 10, 512)?;
    Ok(())
}

/// Pins a DAG of that many leaves, reads it, and deletes it.
fn measure(
    folder: &Path,
    leaves: usize,
    size: usize,
    window: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let store = BlockStore::open(folder, StoreOptions::default())?;
    let blocks = dag(leaves, size);
    let root = blocks[0].0;
    println!("{leaves} leaves of {size} bytes, {window} under way");

    let start = Instant::now();
    store.begin(root, 1)?;
    put(&store, root, &blocks, window);
    say("put", blocks.len(), leaves * size, start.elapsed());

    let start = Instant::now();
    let totals = store.finish(root, 1)?;
    say("walk", blocks.len(), leaves * size, start.elapsed());
    assert_eq!(totals.blocks, blocks.len() as u64);

    let start = Instant::now();
    for (key, bytes, _) in &blocks {
        let read = store.read(&key.multihash)?.ok_or("a block is gone")?;
        assert_eq!(read.len(), bytes.len());
    }
    say("read", blocks.len(), leaves * size, start.elapsed());

    store.release(root, 2)?;
    let start = Instant::now();
    while store.collect(0)?.more {}
    say("delete", blocks.len(), leaves * size, start.elapsed());
    drop(store);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn say(what: &str, blocks: usize, bytes: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    let blocks = blocks as f64 / seconds;
    let mebibytes = bytes as f64 / seconds / f64::from(1 << 20);
    println!("{what:>8} {blocks:>10.0} blocks/s {mebibytes:>8.0} MiB/s");
}

type Block = (NodeKey, Bytes, Vec<NodeKey>);

/// A tree of leaves, each node before those that it links to.
fn dag(leaves: usize, size: usize) -> Vec<Block> {
    let noise: Vec<u8> = (0..64_u32 << 18).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let noise = Bytes::from(noise);
    let room = noise.len() - size;
    let mut level: VecDeque<Block> = (0..leaves)
        .map(|leaf| {
            let from = leaf * 4096 % room;
            (key(RAW, leaf), noise.slice(from..from + size), Vec::new())
        })
        .collect();
    let mut blocks = Vec::new();
    let mut number = leaves;
    while level.len() > 1 {
        let mut above = VecDeque::new();
        while !level.is_empty() {
            let children: Vec<Block> = level.drain(..level.len().min(FANOUT)).collect();
            let links: Vec<NodeKey> = children.iter().map(|child| child.0).collect();
            let bytes = noise.slice(number..number + links.len() * 50);
            above.push_back((key(DAG_PB, number), bytes, links));
            number += 1;
            blocks.push(children);
        }
        level = above;
    }
    let root = level.into_iter();
    root.chain(blocks.into_iter().rev().flatten()).collect()
}

/// A key with a made-up digest that lies as evenly as a hash's.
fn key(codec: u64, number: usize) -> NodeKey {
    let mut digest = [0; 32];
    let mut word = number as u64 + 1;
    for bytes in digest.chunks_exact_mut(8) {
        word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x51;
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    let multihash = Multihash::wrap(0x12, &digest).expect("32 bytes fit");
    NodeKey { codec, multihash }
}

fn put(store: &BlockStore, root: NodeKey, blocks: &[Block], window: usize) {
    let (done, mut answers) = mpsc::unbounded_channel();
    let mut under_way = 0;
    for (key, bytes, links) in blocks {
        if under_way == window {
            check(answers.blocking_recv());
            under_way -= 1;
        }
        store.put(Put {
            root,
            epoch: 1,
            key: *key,
            bytes: bytes.clone(),
            links: links.clone(),
            done: done.clone(),
        });
        under_way += 1;
    }
    for _ in 0..under_way {
        check(answers.blocking_recv());
    }
}

fn check(committed: Option<Committed>) {
    committed.expect("an answer").result.expect("it is committed");
}
