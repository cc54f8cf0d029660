//! Reads what a peer sends on one stream: decodes it, hashes its blocks and hands all of it on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libp2p::swarm::Stream;
use pinrail_ipfs::hash::hash;

use super::exchange::Exchange;
use super::peer::Peer;
use super::server;
use super::wire::{self, LARGE_MESSAGE_BYTES, Message};
use crate::receive::Hold;

/// A stream that was opened and over which nothing came for this long is closed.
const FIRST_MESSAGE_LIMIT: Duration = Duration::from_mins(1);
/// A message may take this long, and as long again as its size takes at the rate below.
const GRACE: Duration = Duration::from_secs(20);
const LEAST_BYTES_PER_SECOND: usize = 16 << 10;
/// After so many bytes or blocks of a message other tasks go on.
const TURN_BYTES: usize = 256 << 10;
const TURN_BLOCKS: usize = 64;
/// Blocks are parts of their message, which stays in memory with each of them; of a message larger than this, a block
/// that is a small part is copied.
const SHARED_MESSAGE_BYTES: usize = 64 << 10;
const SMALL_PART: usize = 8;

/// Read `stream` on a task of its own.
pub fn spawn(exchange: &Arc<Exchange>, peer: &Arc<Peer>, stream: Stream) {
    let (exchange, peer) = (exchange.clone(), peer.clone());
    tokio::spawn(async move {
        let ended = tokio::select! {
            () = peer.wait_gone() => Ok(()),
            ended = read_messages(&exchange, &peer, stream) => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.id, %error, "stream closed");
        }
    });
}

async fn read_messages(exchange: &Arc<Exchange>, peer: &Arc<Peer>, mut stream: Stream) -> io::Result<()> {
    let first = wire::read_length(&mut stream, GRACE);
    let mut next = tokio::time::timeout(FIRST_MESSAGE_LIMIT, first).await??;
    while let Some(length) = next {
        let weight = u32::try_from(length).unwrap_or(u32::MAX);
        // Messages of one peer wait for each other, so that many claimed lengths do not add up.
        let _reading = peer.reading_bytes.acquire_many(weight).await.map_err(io::Error::other)?;
        let mut hold = Hold::new(peer.account.clone());
        let body = wire::read_body(&mut stream, length, |read| {
            hold.add(read);
            if length >= LARGE_MESSAGE_BYTES {
                peer.note_heard();
            }
        });
        let frame = tokio::time::timeout(time_for(length), body).await??;
        let message = Message::decode(&frame).map_err(|error| {
            exchange.strike(peer, "a message that cannot be read");
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        peer.note_active();
        handle(exchange, peer, message, length).await;
        drop(hold);
        let idle = peer.idle_streams.enter();
        next = tokio::select! {
            biased;
            length = wire::read_length(&mut stream, GRACE) => length?,
            () = idle.wait_too_many() => None,
        };
    }
    Ok(())
}

/// How long a message of `length` bytes may take.
fn time_for(length: usize) -> Duration {
    GRACE + Duration::from_secs(u64::try_from(length / LEAST_BYTES_PER_SECOND).unwrap_or(u64::MAX))
}

async fn handle(exchange: &Arc<Exchange>, peer: &Arc<Peer>, message: Message, length: usize) {
    let (mut bytes, mut blocks) = (0, 0);
    for block in message.blocks {
        if peer.is_dropped() {
            return;
        }
        (bytes, blocks) = (bytes + block.bytes.len(), blocks + 1);
        match hash(block.hash_code, block.digest_size, &block.bytes) {
            Some(multihash) => exchange.receive_block(peer, multihash, || own_part(block.bytes, length)),
            None => exchange.strike(peer, "a block under a hash that is not supported"),
        }
        if bytes >= TURN_BYTES || blocks >= TURN_BLOCKS {
            (bytes, blocks) = (0, 0);
            tokio::task::yield_now().await;
        }
    }
    if !message.presences.is_empty() {
        let presences = message.presences.into_iter().map(|(cid, have)| (*cid.hash(), have)).collect();
        exchange.receive_presences(peer, presences);
    }
    if message.full || !message.entries.is_empty() {
        server::accept(exchange, peer, message.full, message.entries);
    }
}

fn own_part(block: Bytes, message: usize) -> Bytes {
    let small = message > SHARED_MESSAGE_BYTES && block.len() < message / SMALL_PART;
    if small { Bytes::copy_from_slice(&block) } else { block }
}
