//! Serves one peer what it wants, from committed data.
//!
//! Each peer has a task and a queue of its own, so a slow one delays nobody else. What is in memory for it is a message
//! on each of its streams (see [`super::lanes`]); messages are counted against a budget that is granted in the order of
//! asking, so a peer that waited longest goes first. A message that is taken too slowly for its size is given up, and
//! its peer's wants with it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use pinrail_block_store::{BlockStore, StoreError};
use pinrail_domain::chain;
use pinrail_spec::multicodec::IDENTITY;
use tokio::time::Instant;

use super::exchange::Exchange;
use super::outlet::Outlet;
use super::peer::Peer;
use super::protocol::Version;
use super::serve_budget::{Reader, Room};
use super::serve_queue::{MAX_WANTS, SLOW, Want};
use super::wire::{self, WantEntry, WantKind};

/// A smaller block is copied together with its neighbours before it is written.
const SMALL_BLOCK_BYTES: usize = 16 << 10;
/// A message may take this long, and as long again as its size takes at the rate below; then its peer loses its wants.
const GRACE: Duration = Duration::from_secs(10);
const LEAST_BYTES_PER_SECOND: usize = 16 << 10;
/// A reader that is slower than this, beyond the time above, makes room for others that wait for it, and goes on
/// among the slow ones.
const CONTENDED_BYTES_PER_SECOND: usize = 512 << 10;
const CONTENTION_TICK: Duration = Duration::from_millis(250);

/// Take in the entries of a peer's wantlist.
pub fn accept(exchange: &Exchange, peer: &Arc<Peer>, full: bool, entries: Vec<WantEntry>) {
    let given_up = peer.serve.accept(full, entries);
    exchange.waiting_peers.forget(peer, &given_up);
}

/// Send one message once there is room for it. One that is taken too slowly makes way for others and is begun again.
pub(super) async fn send_message(
    exchange: &Arc<Exchange>,
    peer: &Arc<Peer>,
    outlet: &mut Outlet,
    answers: &Answers,
) -> io::Result<()> {
    let reader = reader(exchange, peer);
    let bytes = answers.bytes();
    let room = exchange.shared.serve_budget.room(reader, &peer.serve.share, bytes).await?;
    let begun = Instant::now();
    let sent = tokio::select! {
        sent = send(exchange, outlet, answers, bytes) => Some(sent),
        () = give_way(&room, bytes), if reader != Reader::Slow => None,
    };
    let Some(sent) = sent else {
        outlet.abandon();
        peer.serve.note_slow();
        peer.serve.put_back(&answers.wants);
        return Ok(());
    };
    sent?;
    peer.serve.note_taken(bytes, begun.elapsed());
    Ok(())
}

/// Whose budget the messages to a peer count for.
pub(super) fn reader(exchange: &Exchange, peer: &Peer) -> Reader {
    match (exchange.shared.known.contains(&peer.id), peer.serve.is_slow()) {
        (true, _) => Reader::Known,
        (false, true) => Reader::Slow,
        (false, false) => Reader::Stranger,
    }
}

async fn send(exchange: &Arc<Exchange>, outlet: &mut Outlet, answers: &Answers, bytes: usize) -> io::Result<()> {
    let version = outlet.ready().await?;
    let blocks = read_blocks(exchange, answers.blocks.clone()).await?;
    let pieces = assemble(&blocks, &answers.presences, version);
    outlet.write(&pieces, time_for(bytes, GRACE, LEAST_BYTES_PER_SECOND)).await?;
    exchange.shared.counters.blocks_out.add_usize(blocks.len());
    Ok(())
}

/// How long a message of `bytes` may take.
fn time_for(bytes: usize, grace: Duration, per_second: usize) -> Duration {
    grace + Duration::from_secs(u64::try_from(bytes / per_second).unwrap_or(u64::MAX))
}

/// Until the message has been slow and others wait for its room.
async fn give_way(room: &Room, bytes: usize) {
    tokio::time::sleep(time_for(bytes, SLOW, CONTENDED_BYTES_PER_SECOND)).await;
    while !room.is_contended() {
        tokio::time::sleep(CONTENTION_TICK).await;
    }
}

/// What one message answers.
#[derive(Default)]
pub(super) struct Answers {
    /// The wants of blocks and all others that are answered with it.
    pub(super) wants: Vec<Want>,
    blocks: Vec<(Cid, usize)>,
    presences: Vec<(Cid, bool)>,
}

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.presences.is_empty()
    }

    fn bytes(&self) -> usize {
        self.blocks.iter().map(|(_, size)| size).sum()
    }
}

/// Take as many of the peer's wants as one message answers.
pub(super) fn choose(exchange: &Arc<Exchange>, peer: &Arc<Peer>) -> Answers {
    let mut answers = Answers::default();
    let (mut bytes, most) = (0, peer.serve.message_bytes());
    while bytes < most && answers.blocks.len() + answers.presences.len() < MAX_WANTS {
        let Some((want, waited)) = peer.serve.take_next() else { break };
        answers.wants.push(want);
        if waited {
            exchange.waiting_peers.forget(peer, &[*want.cid.hash()]);
        }
        match (find_size(&exchange.store, &want.cid), want.kind) {
            (Some(size), WantKind::Block) => {
                bytes += size;
                answers.blocks.push((want.cid, size));
            }
            (Some(_), WantKind::Have) => answers.presences.push((want.cid, true)),
            (None, _) => {
                if want.send_dont_have {
                    answers.presences.push((want.cid, false));
                }
                wait_for_block(exchange, peer, want);
            }
        }
    }
    answers
}

/// Answer the want when its block comes, also if that was a moment ago.
fn wait_for_block(exchange: &Arc<Exchange>, peer: &Arc<Peer>, want: Want) {
    exchange.waiting_peers.add(peer, want, &exchange.shared.serve_budget);
    if find_size(&exchange.store, &want.cid).is_some() {
        exchange.waiting_peers.release(want.cid.hash());
    }
}

fn find_size(store: &BlockStore, cid: &Cid) -> Option<usize> {
    if cid.hash().code() == IDENTITY {
        return Some(cid.hash().digest().len());
    }
    match store.size(cid.hash()) {
        Ok(size) => size.and_then(|size| usize::try_from(size).ok()),
        Err(error) => {
            tracing::warn!(%cid, error = chain(&error), "block not served");
            None
        }
    }
}

async fn read_blocks(exchange: &Arc<Exchange>, wanted: Vec<(Cid, usize)>) -> io::Result<Vec<(Cid, Bytes)>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let _disk = exchange.shared.serve_budget.disk.acquire().await.map_err(io::Error::other)?;
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
            tracing::error!(%cid, error = chain(&error), "block not served");
            None
        }
        Err(error) => {
            tracing::warn!(%cid, error = chain(&error), "block not served");
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
