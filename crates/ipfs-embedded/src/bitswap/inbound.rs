//! Reads what a peer sends on one stream: decodes it, hashes its blocks and hands all of it on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use libp2p::swarm::Stream;

use super::exchange::Exchange;
use super::peer::Peer;
use super::server;
use super::wire::{self, Message};
use crate::hash::hash;

/// A message that stands still for this long is given up with its stream.
const READ_LIMIT: Duration = Duration::from_secs(20);

/// Read `stream` on a task of its own, unless the peer has too many open.
pub fn spawn(exchange: &Arc<Exchange>, peer: &Arc<Peer>, stream: Stream) {
    let Ok(slot) = peer.reading_streams.clone().try_acquire_owned() else {
        tracing::debug!(peer = %peer.id, "too many streams, one is closed");
        return;
    };
    let (exchange, peer) = (exchange.clone(), peer.clone());
    tokio::spawn(async move {
        let _slot = slot;
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
    while let Some(length) = wire::read_length(&mut stream).await? {
        let weight = u32::try_from(length).unwrap_or(u32::MAX);
        // Messages of one peer wait for each other, so that many claimed lengths do not add up.
        let _reading = peer.reading_bytes.acquire_many(weight).await.map_err(io::Error::other)?;
        let frame = wire::read_body(&mut stream, length, READ_LIMIT, || peer.note_heard()).await?;
        let message = Message::decode(&frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        peer.note_active();
        handle(exchange, peer, message);
    }
    Ok(())
}

fn handle(exchange: &Arc<Exchange>, peer: &Arc<Peer>, message: Message) {
    let mut blocks = Vec::with_capacity(message.blocks.len());
    for block in message.blocks {
        match hash(block.hash_code, block.digest_size, &block.bytes) {
            Some(multihash) => blocks.push((multihash, block.bytes)),
            None => exchange.strike(peer),
        }
    }
    if !blocks.is_empty() {
        exchange.receive_blocks(peer, blocks);
    }
    if !message.presences.is_empty() {
        let presences = message.presences.into_iter().map(|(cid, have)| (*cid.hash(), have)).collect();
        exchange.receive_presences(peer, presences);
    }
    if message.full || !message.entries.is_empty() {
        server::accept(exchange, peer, message.full, message.entries);
    }
}
