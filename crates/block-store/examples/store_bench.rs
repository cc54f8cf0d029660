//! Measures the block store alone: `store_bench FOLDER` prints blocks a second as one line of JSON.
//!
//! Blocks are put as a fetch puts them, parents first and with a window of blocks under way, and are
//! durable when they count. Nothing is hashed: digests are made up. Beside them the same bytes are written to a file in
//! the batches that the store makes, each synced.
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cid::multihash::Multihash;
use pinrail_block_store::{BlockStore, Committed, NodeKey, Put, StoreError, StoreOptions};
use pinrail_spec::multicodec::{DAG_PB, RAW, SHA2_256};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Links of each inner node, as UnixFS writers make them.
const FANOUT: usize = 174;
/// What the store commits at once.
const BATCH_BYTES: u32 = 16 << 20;
const BATCH_BLOCKS: u32 = 4_096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("wanted a folder to write to")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let large = measure(&folder.join("large"), 4096, 256 << 10, 128)?;
    let small = measure(&folder.join("small"), 200_000, 1 << 10, 512)?;
    println!("{}", json!({ "large": large, "small": small }));
    Ok(())
}

/// Pins a DAG of that many leaves, reads it, and deletes it; how many in a second.
fn measure(folder: &Path, leaves: u32, size: u32, window: usize) -> Result<Value, Box<dyn std::error::Error>> {
    let plain = time(|| write_plainly(&folder.with_extension("plain"), leaves, size))?;
    let store = BlockStore::open(folder, StoreOptions::default())?;
    let blocks = dag(leaves, size);
    let root = blocks[0].0;
    store.begin(root, 1)?;
    let put = time(|| put(&store, root, &blocks, window))?;
    let finish = time(|| store.finish(root, 1).map(|_| ()))?;
    let read = time(|| read(&store, &blocks))?;
    store.release(root, 2)?;
    let delete = time(|| delete(&store))?;
    drop(store);
    std::fs::remove_dir_all(folder)?;
    let rate = |took: Duration| f64::from(leaves) / took.as_secs_f64();
    Ok(json!({
        "plain": rate(plain), "put": rate(put), "finish": rate(finish), "read": rate(read), "delete": rate(delete),
    }))
}

/// Write as many bytes to a file, in batches of 16 MiB or 4,096 blocks.
fn write_plainly(path: &Path, leaves: u32, size: u32) -> std::io::Result<()> {
    let batch = (BATCH_BYTES / size).min(BATCH_BLOCKS);
    let bytes = vec![0x5a; (batch * size) as usize];
    let mut file = File::create(path)?;
    for _ in 0..leaves.div_ceil(batch) {
        file.write_all(&bytes)?;
        file.sync_data()?;
    }
    std::fs::remove_file(path)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time<E>(run: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

fn read(store: &BlockStore, blocks: &[Block]) -> Result<(), StoreError> {
    for (key, bytes, _) in blocks {
        let read = store.read(&key.multihash)?.expect("the block is there");
        assert_eq!(read.len(), bytes.len());
    }
    Ok(())
}

fn delete(store: &BlockStore) -> Result<(), StoreError> {
    while store.collect(0)?.more {}
    assert_eq!(store.space()?.used, 0);
    Ok(())
}

type Block = (NodeKey, Bytes, Vec<NodeKey>);

/// A tree of leaves, each node before those that it links to.
fn dag(leaves: u32, size: u32) -> Vec<Block> {
    let mut noise = vec![0; 32 << 20];
    for (number, word) in (0_u32..).zip(noise.chunks_exact_mut(4)) {
        word.copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_le_bytes());
    }
    let noise = Bytes::from(noise);
    let size = size as usize;
    let leaf = |number: u32| {
        let from = (number as usize * 4096) % (noise.len() - size);
        (key(RAW, number), noise.slice(from..from + size), Vec::new())
    };
    let mut level: Vec<Block> = (0..leaves).map(leaf).collect();
    let mut levels = Vec::new();
    let mut numbers = leaves..;
    while level.len() > 1 {
        let above = level.chunks(FANOUT).zip(&mut numbers).map(|(children, number)| {
            let links: Vec<NodeKey> = children.iter().map(|child| child.0).collect();
            let from = number as usize % (noise.len() / 2);
            (key(DAG_PB, number), noise.slice(from..from + links.len() * 50), links)
        });
        let above = above.collect();
        levels.push(std::mem::replace(&mut level, above));
    }
    levels.push(level);
    levels.into_iter().rev().flatten().collect()
}

/// A key with a made-up digest that lies as evenly as a hash's.
fn key(codec: u64, number: u32) -> NodeKey {
    let mut digest = [0; 32];
    let mut word = u64::from(number) + 1;
    for bytes in digest.chunks_exact_mut(8) {
        word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x51;
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    let multihash = Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit");
    NodeKey { codec, multihash }
}

fn put(store: &BlockStore, root: NodeKey, blocks: &[Block], window: usize) -> Result<(), StoreError> {
    let (done, mut answers) = mpsc::unbounded_channel::<Committed>();
    let mut wait = || answers.blocking_recv().map_or(Err(StoreError::Closed), |committed| committed.result);
    let mut under_way = 0;
    for (key, bytes, links) in blocks {
        if under_way == window {
            wait()?;
            under_way -= 1;
        }
        let (bytes, links, done) = (bytes.clone(), links.clone(), done.clone());
        store.put(Put { root, epoch: 1, key: *key, bytes, links, done });
        under_way += 1;
    }
    (0..under_way).try_for_each(|_| wait())
}
