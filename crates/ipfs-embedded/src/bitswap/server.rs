//! Serves one peer what it wants, from committed data.
//!
//! Each peer has a task and a queue of its own, so a slow one delays nobody else. What is in memory for it is one
//! message; messages are counted against a budget that is granted in the order of asking, so a peer that waited
//! longest goes first. Peers that stood still once share a small budget of their own.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use libp2p::multihash::Multihash;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::exchange::Exchange;
use super::handler::Version;
use super::peer::{Outlet, Peer, lock};
use super::wire::{self, WantEntry, WantKind};
use crate::hash::IDENTITY;
use crate::store::{BlockStore, StoreError};

/// Wants of one peer that are kept, as other nodes do; further ones are dropped and have to be sent again.
const MAX_WANTS: usize = 1_024;
/// A message is closed when its blocks reach this size.
const MESSAGE_BYTES: usize = 512 << 10;
/// A smaller block is copied together with its neighbours before it is written.
const SMALL_BLOCK_BYTES: usize = 16 << 10;
/// A peer that reads nothing for this long loses its wants.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// A message that took longer than this to write makes its reader a slow one.
const SLOW: Duration = Duration::from_secs(2);
/// Memory for messages being written, in KiB.
const BUDGET_KIB: usize = 64 << 10;
const SLOW_BUDGET_KIB: usize = 16 << 10;
/// Messages that are read from the disk at once.
const DISK_READS: usize = 4;

/// What all peers' serving shares.
pub struct ServeLimits {
    budget: Semaphore,
    slow_budget: Semaphore,
    disk: Semaphore,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            budget: Semaphore::new(BUDGET_KIB),
            slow_budget: Semaphore::new(SLOW_BUDGET_KIB),
            disk: Semaphore::new(DISK_READS),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Want {
    cid: Cid,
    kind: WantKind,
    send_dont_have: bool,
}

/// What a peer wants of us, in the order of its asking.
#[derive(Default)]
pub struct ServeQueue {
    wants: Mutex<Wants>,
    changed: Notify,
    slow: AtomicBool,
}

#[derive(Default)]
struct Wants {
    order: VecDeque<Multihash<64>>,
    queued: HashMap<Multihash<64>, Want>,
    /// Wants of blocks that were not there; served when they come.
    parked: HashMap<Multihash<64>, Want>,
}

impl ServeQueue {
    /// Take in the entries of a wantlist; the blocks that it no longer waits for.
    fn accept(&self, full: bool, entries: Vec<WantEntry>) -> Vec<Multihash<64>> {
        let mut given_up = if full { self.clear() } else { Vec::new() };
        let mut wants = lock(&self.wants);
        for entry in entries {
            match entry {
                WantEntry::Cancel(cid) => given_up.extend(wants.remove(cid.hash())),
                WantEntry::Want { cid, kind, send_dont_have } => wants.add(Want { cid, kind, send_dont_have }),
            }
        }
        drop(wants);
        self.changed.notify_one();
        given_up
    }

    /// A block that it waits for is there now.
    fn release(&self, multihash: &Multihash<64>) {
        let mut wants = lock(&self.wants);
        if let Some(want) = wants.parked.remove(multihash) {
            wants.add(want);
            self.changed.notify_one();
        }
    }

    /// Forget all wants; the blocks that it waited for.
    fn clear(&self) -> Vec<Multihash<64>> {
        std::mem::take(&mut *lock(&self.wants)).parked.into_keys().collect()
    }

    fn take_next(&self) -> Option<Want> {
        let mut wants = lock(&self.wants);
        while let Some(multihash) = wants.order.pop_front() {
            // A cancelled want leaves its place in the order.
            if let Some(want) = wants.queued.remove(&multihash) {
                return Some(want);
            }
        }
        None
    }

    /// Keep a want for later; false if there are too many.
    fn park(&self, want: Want) -> bool {
        let mut wants = lock(&self.wants);
        let room = wants.parked.len() < MAX_WANTS;
        if room {
            wants.parked.insert(*want.cid.hash(), want);
        }
        room
    }
}

impl Wants {
    fn add(&mut self, want: Want) {
        let multihash = *want.cid.hash();
        if let Some(known) = self.queued.get_mut(&multihash) {
            // Wanting the block is more than wanting to know of it.
            if want.kind == WantKind::Block {
                *known = want;
            }
        } else if self.queued.len() < MAX_WANTS {
            self.queued.insert(multihash, want);
            self.order.push_back(multihash);
        }
    }

    /// Forget a want; its multihash if it was waiting for the block to come.
    fn remove(&mut self, multihash: &Multihash<64>) -> Option<Multihash<64>> {
        let parked = self.parked.remove(multihash).map(|_| *multihash);
        self.queued.remove(multihash);
        // Wanting and cancelling in turns must not grow the order without bound.
        if self.order.len() > 2 * MAX_WANTS {
            self.order.retain(|queued| self.queued.contains_key(queued));
        }
        parked
    }
}

/// Who waits for blocks that are not there yet.
#[derive(Default)]
pub struct Parked(Mutex<HashMap<Multihash<64>, Vec<Weak<Peer>>>>);

impl Parked {
    fn add(&self, peer: &Arc<Peer>, want: Want) {
        if peer.serve.park(want) {
            let mut waiting = lock(&self.0);
            let peers = waiting.entry(*want.cid.hash()).or_default();
            if !peers.iter().any(|known| known.as_ptr() == Arc::as_ptr(peer)) {
                peers.push(Arc::downgrade(peer));
            }
        }
    }

    pub(super) fn release(&self, multihash: &Multihash<64>) {
        let waiting = lock(&self.0).remove(multihash);
        for peer in waiting.into_iter().flatten().filter_map(|peer| peer.upgrade()) {
            peer.serve.release(multihash);
        }
    }

    /// The peer waits for these no longer.
    fn forget(&self, peer: &Arc<Peer>, given_up: &[Multihash<64>]) {
        let mut waiting = lock(&self.0);
        for multihash in given_up {
            if let Some(peers) = waiting.get_mut(multihash) {
                peers.retain(|known| known.as_ptr() != Arc::as_ptr(peer));
                if peers.is_empty() {
                    waiting.remove(multihash);
                }
            }
        }
    }

    /// The peer is gone, and its wants with it.
    pub(super) fn leave(&self, peer: &Arc<Peer>) {
        self.forget(peer, &peer.serve.clear());
    }
}

/// Take in the entries of a peer's wantlist.
pub fn accept(exchange: &Exchange, peer: &Arc<Peer>, full: bool, entries: Vec<WantEntry>) {
    let given_up = peer.serve.accept(full, entries);
    exchange.parked.forget(peer, &given_up);
}

/// Serve `peer` until it is gone.
pub async fn serve(exchange: Arc<Exchange>, peer: Arc<Peer>) {
    let mut outlet = Outlet::new(peer.clone());
    let work = async {
        loop {
            match serve_once(&exchange, &peer, &mut outlet).await {
                Ok(true) => {}
                Ok(false) => peer.serve.changed.notified().await,
                Err(error) => {
                    tracing::debug!(peer = %peer.id, %error, "not served, its wants are dropped");
                    exchange.parked.leave(&peer);
                    peer.serve.slow.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    tokio::select! {
        () = peer.wait_gone() => {}
        () = work => {}
    }
}

/// Send one message; false if nothing is wanted.
async fn serve_once(exchange: &Arc<Exchange>, peer: &Arc<Peer>, outlet: &mut Outlet) -> io::Result<bool> {
    let answers = choose(exchange, peer);
    if answers.is_empty() {
        return Ok(false);
    }
    let slow = peer.serve.slow.load(Ordering::Relaxed);
    let budget = if slow { &exchange.limits.slow_budget } else { &exchange.limits.budget };
    let bytes = answers.blocks.iter().map(|(_, size)| size).sum::<usize>();
    let weight = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let _room = budget.acquire_many(weight).await.map_err(io::Error::other)?;
    let version = outlet.ready().await?;
    let blocks = read_blocks(exchange, answers.blocks).await?;
    let pieces = assemble(&blocks, &answers.presences, version);
    let begun = Instant::now();
    outlet.write(&pieces, WRITE_LIMIT).await?;
    peer.serve.slow.store(begun.elapsed() > SLOW, Ordering::Relaxed);
    Ok(true)
}

/// What one message answers.
#[derive(Default)]
struct Answers {
    blocks: Vec<(Cid, usize)>,
    presences: Vec<(Cid, bool)>,
}

impl Answers {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.presences.is_empty()
    }
}

fn choose(exchange: &Arc<Exchange>, peer: &Arc<Peer>) -> Answers {
    let mut answers = Answers::default();
    let mut bytes = 0;
    while bytes < MESSAGE_BYTES && answers.blocks.len() + answers.presences.len() < MAX_WANTS {
        let Some(want) = peer.serve.take_next() else { break };
        match (find_size(&exchange.store, &want.cid), want.kind) {
            (Some(size), WantKind::Block) => {
                bytes += size;
                answers.blocks.push((want.cid, size));
            }
            (Some(_), WantKind::Have) => answers.presences.push((want.cid, true)),
            (None, _) => {
                if want.send_dont_have {
                    answers.presences.push((want.cid, false));
                } else {
                    exchange.parked.add(peer, want);
                }
            }
        }
    }
    answers
}

fn find_size(store: &BlockStore, cid: &Cid) -> Option<usize> {
    if cid.hash().code() == IDENTITY {
        return Some(cid.hash().digest().len());
    }
    match store.size(cid.hash()) {
        Ok(size) => size.and_then(|size| usize::try_from(size).ok()),
        Err(error) => {
            tracing::warn!(%cid, %error, "block not served");
            None
        }
    }
}

async fn read_blocks(exchange: &Arc<Exchange>, wanted: Vec<(Cid, usize)>) -> io::Result<Vec<(Cid, Bytes)>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let _disk = exchange.limits.disk.acquire().await.map_err(io::Error::other)?;
    let store = exchange.store.clone();
    let read = tokio::task::spawn_blocking(move || {
        wanted.into_iter().filter_map(|(cid, _)| Some((cid, read_block(&store, &cid)?))).collect()
    });
    Ok(read.await?)
}

/// A block that is gone since, or damaged, is left out: the peer asks again or asks somebody else.
fn read_block(store: &BlockStore, cid: &Cid) -> Option<Bytes> {
    if cid.hash().code() == IDENTITY {
        return Some(Bytes::copy_from_slice(cid.hash().digest()));
    }
    match store.read(cid.hash()) {
        Ok(block) => block,
        Err(error @ StoreError::Corrupt(_)) => {
            tracing::error!(%cid, %error, "block not served");
            None
        }
        Err(error) => {
            tracing::warn!(%cid, %error, "block not served");
            None
        }
    }
}

/// A message in pieces; large blocks are pieces of their own and are not copied.
fn assemble(blocks: &[(Cid, Bytes)], presences: &[(Cid, bool)], version: Version) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut small = Vec::new();
    for (cid, block) in blocks {
        small.extend(match version {
            Version::V1_0 => wire::legacy_block_header(block.len()),
            Version::V1_1 | Version::V1_2 => wire::block_header(cid, block.len()),
        });
        if block.len() < SMALL_BLOCK_BYTES {
            small.extend_from_slice(block);
        } else {
            pieces.push(Bytes::from(std::mem::take(&mut small)));
            pieces.push(block.clone());
        }
    }
    if version == Version::V1_2 {
        small.extend(presences.iter().flat_map(|(cid, have)| wire::encode_presence(cid, *have)));
    }
    pieces.push(Bytes::from(small));
    // All blocks may be gone since, and before 1.2.0 there is no word for what is not there.
    if pieces.iter().all(Bytes::is_empty) {
        return Vec::new();
    }
    let length = pieces.iter().map(Bytes::len).sum();
    pieces.insert(0, Bytes::from(wire::length_prefix(length)));
    pieces
}
