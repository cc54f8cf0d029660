//! What is done to a store before and while its disk fails, step by step, and what it answered.
use std::path::Path;
use std::sync::Arc;

use pinrail_block_store::{Adopt, BlockStore, Committed, NodeKey, StoreError, StoreOptions};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::dag::{Block, RAW, block, leaf, parent, put_of, read_as};
use crate::sim_disk::SimDisk;

/// Where the store is on its disk.
pub const FOLDER: &str = "/data/blocks";

/// One thing that is done.
#[derive(Clone, Debug)]
pub enum Step {
    Begin(NodeKey, u64),
    /// The blocks come in two batches: the first one, and all that queued up meanwhile.
    Put(NodeKey, u64, Vec<Block>),
    /// As `Put`, in any order.
    Import(NodeKey, u64, Vec<Block>),
    Adopt(NodeKey, u64, Block),
    Finish(NodeKey, u64),
    /// Fails at this time in milliseconds.
    Fail(NodeKey, u64, u64),
    Release(NodeKey, u64),
    /// Collects all there is at this time.
    Collect(u64),
    /// Others leave so much disk; none: plenty.
    Leave(Option<u64>),
    /// Gives the block up as damaged, if the root is being fetched at this epoch.
    Discard(NodeKey, u64, NodeKey),
    /// Closes the store and opens it.
    Reopen,
    /// Closes the store, removes its index and opens it.
    LoseIndex,
}

/// What became of a step, and the numbers of the disk's changes before and after it.
#[derive(Debug)]
pub struct Done {
    pub step: Step,
    pub from: usize,
    pub to: usize,
    /// Whether the fault of the disk had come before.
    pub struck: bool,
    pub result: Result<(), StoreError>,
    /// Blocks that were answered to be durable.
    pub blocks: Vec<NodeKey>,
}

impl Done {
    /// Whether the store said that it did nothing, and why.
    pub fn is_refused(&self) -> bool {
        matches!(self.result, Err(StoreError::StaleEpoch { .. } | StoreError::NotBegun | StoreError::Holes(_)))
    }
}

/// Small segments, batches and logs, so that a short script does all that a store does.
pub fn tight() -> StoreOptions {
    StoreOptions {
        reserve: 8 << 10,
        ballast: 512 << 10,
        segment_size: 48 << 10,
        batch_bytes: 32 << 10,
        batch_blocks: 64,
        save_blocks: 12,
        save_bytes: 1 << 20,
        log_bytes: 600,
        cache_bytes: 64 << 10,
        collect_nodes: 4,
        keep_failed_ms: 1_000,
    }
}

/// Opens the store of a disk.
pub fn open(disk: &Arc<SimDisk>) -> Result<BlockStore, StoreError> {
    BlockStore::open_on(&disk.handle(), Path::new(FOLDER), tight())
}

/// Does every step, whatever became of those before; an open that failed is tried again before the
/// next step. The store is closed at the end.
pub fn run(disk: &Arc<SimDisk>, steps: &[Step]) -> Vec<Done> {
    let mut history = Vec::with_capacity(steps.len());
    let mut store = None;
    for step in steps {
        let (from, struck) = (disk.changes(), disk.is_struck());
        let mut blocks = Vec::new();
        if matches!(step, Step::Reopen | Step::LoseIndex) {
            store = None;
        }
        let lost = if matches!(step, Step::LoseIndex) { lose_index(disk) } else { Ok(()) };
        let opened = match &store {
            Some(store) => Ok(store),
            None => open(disk).map(|opened| &*store.insert(opened)),
        };
        let result = opened.and_then(|store| take(disk, store, step, &mut blocks)).and(lost);
        history.push(Done { step: step.clone(), from, to: disk.changes(), struck, result, blocks });
    }
    history
}

fn lose_index(disk: &Arc<SimDisk>) -> Result<(), StoreError> {
    let folder = Path::new(FOLDER);
    let disk = disk.handle();
    disk.remove(&folder.join("index.redb"))?;
    Ok(disk.sync_folder(folder)?)
}

fn take(disk: &SimDisk, store: &BlockStore, step: &Step, answered: &mut Vec<NodeKey>) -> Result<(), StoreError> {
    match step {
        Step::Begin(root, epoch) => store.begin(*root, *epoch),
        Step::Put(root, epoch, blocks) => put(disk, store, (*root, *epoch), blocks, false, answered),
        Step::Import(root, epoch, blocks) => put(disk, store, (*root, *epoch), blocks, true, answered),
        Step::Adopt(root, epoch, block) => {
            let (done, answers) = mpsc::unbounded_channel();
            let links = block.links.clone();
            store.adopt(Adopt { root: *root, epoch: *epoch, key: block.key, links, done });
            listen(answers, answered)
        }
        Step::Finish(root, epoch) => store.finish(*root, *epoch).map(|_| ()),
        Step::Fail(root, epoch, now_ms) => store.fail(*root, *epoch, *now_ms),
        Step::Release(root, epoch) => store.release(*root, *epoch),
        Step::Collect(now_ms) => {
            while store.collect(*now_ms)?.more {}
            Ok(())
        }
        Step::Leave(free) => {
            disk.leave(*free);
            store.space().map(|_| ())
        }
        Step::Discard(root, epoch, block) => match store.root_state(root)? {
            Some(state) if !state.pinned && state.epoch == *epoch => store.discard(&block.multihash),
            _ => Ok(()),
        },
        Step::Reopen | Step::LoseIndex => Ok(()),
    }
}

fn put(
    disk: &SimDisk,
    store: &BlockStore,
    (root, epoch): (NodeKey, u64),
    blocks: &[Block],
    any_order: bool,
    answered: &mut Vec<NodeKey>,
) -> Result<(), StoreError> {
    let (done, answers) = mpsc::unbounded_channel();
    let queue = |blocks: &[Block]| {
        for block in blocks {
            let put = put_of(root, epoch, block, &done);
            if any_order { store.import(put) } else { store.put(put) }
        }
    };
    let (first, rest) = blocks.split_at(1);
    disk.hold(|| queue(first), || queue(rest));
    drop(done);
    listen(answers, answered)
}

/// Hears all answers; the last error, if there was one.
fn listen(mut answers: UnboundedReceiver<Committed>, answered: &mut Vec<NodeKey>) -> Result<(), StoreError> {
    let mut result = Ok(());
    while let Some(committed) = answers.blocking_recv() {
        match committed.result {
            Ok(()) => answered.push(committed.key),
            Err(error) => result = Err(error),
        }
    }
    result
}

fn body(text: &str, length: usize) -> Block {
    block(RAW, text.bytes().cycle().take(length).collect(), &[])
}

/// A life of a store in which everything happens once.
pub fn script() -> Vec<Step> {
    let small: Vec<Block> = (0..10).map(|n| leaf(&format!("small {n}"))).collect();
    let (large, wide) = (body("large ", 100_000), body("wide ", 20_000));
    let shared = parent("shared", &[&small[0], &small[1], &wide]);
    let one = parent("one", &[&shared, &large, &small[2]]);
    let two = parent("two", &[&shared, &small[3]]);
    let raw = read_as(&shared, RAW, &[]);
    let list = |blocks: &[&Block]| blocks.iter().map(|block| (*block).clone()).collect::<Vec<Block>>();
    let mut steps = vec![
        Step::Begin(one.key, 1),
        Step::Put(one.key, 1, list(&[&one, &shared, &small[0], &small[1]])),
        Step::Put(one.key, 1, list(&[&wide, &large, &small[2]])),
        Step::Finish(one.key, 1),
        Step::Begin(two.key, 1),
        Step::Put(two.key, 1, list(&[&two, &shared, &small[3]])),
        Step::Finish(two.key, 1),
        Step::Begin(raw.key, 1),
        Step::Adopt(raw.key, 1, raw.clone()),
        Step::Finish(raw.key, 1),
        Step::Release(one.key, 2),
        Step::Release(one.key, 1),
        Step::Collect(0),
    ];
    steps.extend(failing(&small, &list));
    steps.extend(again(&one, &shared, &large, &small, &list));
    steps.extend(full(&list));
    steps.extend([
        Step::Release(two.key, 2),
        Step::LoseIndex,
        Step::Collect(5_000),
        Step::Begin(raw.key, 2),
        Step::Finish(raw.key, 2),
        Step::Reopen,
        Step::Release(raw.key, 3),
        Step::Collect(6_000),
        Step::Begin(small[7].key, 1),
        Step::Put(small[7].key, 1, list(&[&small[7]])),
        Step::Finish(small[7].key, 1),
    ]);
    steps
}

/// Makes a list of blocks.
type List<'a> = &'a dyn Fn(&[&Block]) -> Vec<Block>;

/// Blocks in any order, a fetch that fails, and its end.
fn failing(small: &[Block], list: List<'_>) -> Vec<Step> {
    let absent = leaf("absent");
    let three = parent("three", &[&small[4], &small[5], &absent]);
    let four = parent("four", &[&small[6], &small[0], &absent]);
    vec![
        Step::Begin(three.key, 1),
        Step::Import(three.key, 1, list(&[&small[5], &small[0], &small[4]])),
        Step::Import(three.key, 1, list(&[&three])),
        Step::Begin(four.key, 1),
        Step::Put(four.key, 1, list(&[&four, &small[6], &small[0]])),
        Step::Finish(four.key, 1),
        Step::Fail(four.key, 1, 500),
        Step::Collect(600),
        Step::LoseIndex,
        Step::Begin(three.key, 2),
        Step::Put(three.key, 2, list(&[&absent])),
        Step::Finish(three.key, 2),
        Step::Collect(2_000),
        Step::Release(three.key, 3),
        Step::Collect(2_100),
    ]
}

/// A root that is wanted again while it is deleted, and fetched again while it is pinned.
fn again(one: &Block, shared: &Block, large: &Block, small: &[Block], list: List<'_>) -> Vec<Step> {
    vec![
        Step::Begin(one.key, 3),
        Step::Put(one.key, 3, list(&[one, shared, large, &small[2]])),
        Step::Finish(one.key, 3),
        Step::Release(one.key, 4),
        Step::Begin(one.key, 5),
        Step::Collect(2_200),
        Step::Finish(one.key, 5),
        Step::Begin(one.key, 6),
        Step::Discard(one.key, 6, large.key),
        Step::Put(one.key, 6, list(&[shared, large])),
        Step::Finish(one.key, 6),
        Step::Reopen,
        Step::Release(one.key, 7),
        Step::Collect(2_300),
    ]
}

/// A disk that fills up, deletes that go on, and room again.
fn full(list: List<'_>) -> Vec<Step> {
    let pages: Vec<Block> = (0..6).map(|n| body(&format!("page {n} "), 15_000)).collect();
    let five = parent("five", &pages.iter().collect::<Vec<_>>());
    let six = parent("six", &[&pages[0]]);
    let most: Vec<&Block> = std::iter::once(&five).chain(&pages[..4]).collect();
    vec![
        Step::Begin(five.key, 1),
        Step::Put(five.key, 1, list(&most)),
        Step::Leave(Some(1 << 10)),
        Step::Put(five.key, 1, list(&[&pages[4]])),
        Step::Begin(six.key, 1),
        Step::Release(five.key, 2),
        Step::Collect(3_000),
        Step::Leave(None),
        Step::Put(six.key, 1, list(&[&six, &pages[0]])),
        Step::Finish(six.key, 1),
        Step::Release(six.key, 2),
        Step::Collect(4_000),
        // Refused, and the first of its segment.
        Step::Put(six.key, 1, list(&[&six])),
        Step::Collect(4_100),
        Step::Begin(six.key, 3),
        Step::Put(six.key, 3, list(&[&six, &pages[0]])),
        Step::Finish(six.key, 3),
    ]
}
