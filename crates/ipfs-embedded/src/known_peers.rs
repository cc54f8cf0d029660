//! Peers with a reason to be connected: places, memory and turns are kept for them.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use crate::bitswap::lock;

/// How long a peer is known after it was named as an origin, or sent a block that was wanted.
const REMEMBERED: Duration = Duration::from_mins(10);
/// How many of either kind are remembered.
const MAX_REMEMBERED: usize = 4_096;

/// The nodes of sibling workers, the origins of requests, and peers that gave us blocks.
#[derive(Debug, Default)]
pub struct KnownPeers {
    siblings: Mutex<HashSet<PeerId>>,
    origins: Mutex<Recent>,
    givers: Mutex<Recent>,
}

impl KnownPeers {
    /// These are the nodes of sibling workers from now on.
    pub fn set_siblings(&self, peers: impl IntoIterator<Item = PeerId>) {
        *lock(&self.siblings) = peers.into_iter().collect();
    }

    /// A request that is being fetched names these as its origins.
    pub fn note_origins(&self, peers: impl IntoIterator<Item = PeerId>) {
        let (mut origins, now) = (lock(&self.origins), Instant::now());
        peers.into_iter().for_each(|peer| origins.note(peer, now));
    }

    /// The peer sent a block that was wanted.
    pub fn note_giver(&self, peer: PeerId) {
        lock(&self.givers).note(peer, Instant::now());
    }

    /// Whether the peer belongs to any of them.
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.is_named(peer) || lock(&self.givers).contains(peer, Instant::now())
    }

    /// Whether the peer is a sibling's node or an origin.
    pub fn is_named(&self, peer: &PeerId) -> bool {
        lock(&self.siblings).contains(peer) || lock(&self.origins).contains(peer, Instant::now())
    }
}

#[derive(Debug, Default)]
struct Recent(HashMap<PeerId, Instant>);

impl Recent {
    /// Remember a peer, unless there are too many: whoever names thousands must not push out those that were there.
    fn note(&mut self, peer: PeerId, now: Instant) {
        if self.0.len() >= MAX_REMEMBERED && !self.0.contains_key(&peer) {
            self.0.retain(|_, since| now.duration_since(*since) < REMEMBERED);
            if self.0.len() >= MAX_REMEMBERED {
                return;
            }
        }
        self.0.insert(peer, now);
    }

    fn contains(&self, peer: &PeerId, now: Instant) -> bool {
        self.0.get(peer).is_some_and(|since| now.duration_since(*since) < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_are_kept_until_they_are_old() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        let first = PeerId::random();
        recent.note(first, start);
        for _ in 0..2 * MAX_REMEMBERED {
            recent.note(PeerId::random(), start);
        }
        assert_eq!(recent.0.len(), MAX_REMEMBERED);
        assert!(recent.contains(&first, start));
        let late = PeerId::random();
        recent.note(late, start + REMEMBERED);
        assert!(recent.contains(&late, start + REMEMBERED) && !recent.contains(&first, start + REMEMBERED));
    }
}
