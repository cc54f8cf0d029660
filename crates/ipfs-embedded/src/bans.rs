//! Peers that are not let in for what they sent, and the address blocks that too many of them came from.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use crate::address_block::AddressBlock;
use crate::bitswap::lock;

/// How long a ban lasts.
pub const BAN: Duration = Duration::from_mins(10);
/// How many bans are remembered; then the oldest ends early.
const MAX_BANS: usize = 1_024;

/// The bans of the last ten minutes.
#[derive(Debug)]
pub struct Bans {
    peers: Mutex<HashMap<PeerId, (AddressBlock, Instant)>>,
    /// So many banned peers of one block ban the whole block.
    per_block: usize,
}

impl Bans {
    /// No bans yet; `per_block` banned peers of one address block will ban all of it.
    pub fn new(per_block: usize) -> Self {
        Self { peers: Mutex::default(), per_block }
    }

    /// Ban a peer that connected from `block`.
    pub fn add(&self, peer: PeerId, block: AddressBlock, now: Instant) {
        let mut peers = lock(&self.peers);
        peers.retain(|_, (_, since)| now.duration_since(*since) < BAN);
        if peers.len() >= MAX_BANS
            && let Some(oldest) = peers.iter().min_by_key(|(_, (_, since))| *since).map(|(peer, _)| *peer)
        {
            peers.remove(&oldest);
        }
        peers.insert(peer, (block, now));
    }

    /// Whether the peer is banned.
    pub fn contains(&self, peer: &PeerId, now: Instant) -> bool {
        lock(&self.peers).get(peer).is_some_and(|(_, since)| now.duration_since(*since) < BAN)
    }

    /// Whether a whole block is banned.
    pub fn contains_block(&self, block: AddressBlock, now: Instant) -> bool {
        let peers = lock(&self.peers);
        let banned = peers.values().filter(|(of, since)| *of == block && now.duration_since(*since) < BAN);
        banned.count() >= self.per_block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_few_banned_peers_ban_their_block_for_a_while() {
        let (bans, now) = (Bans::new(3), Instant::now());
        let (block, other) = (AddressBlock::V4([203, 0, 113]), AddressBlock::V4([198, 51, 100]));
        for _ in 0..2 {
            bans.add(PeerId::random(), block, now);
        }
        assert!(!bans.contains_block(block, now));
        let last = PeerId::random();
        bans.add(last, block, now);
        assert!(bans.contains(&last, now) && bans.contains_block(block, now) && !bans.contains_block(other, now));
        assert!(!bans.contains(&last, now + BAN) && !bans.contains_block(block, now + BAN));
        for _ in 0..MAX_BANS {
            bans.add(PeerId::random(), other, now + Duration::from_secs(1));
        }
        assert!(!bans.contains(&last, now), "the oldest of too many ends early");
    }
}
