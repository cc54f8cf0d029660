//! Who waits for which block of ours that is not there yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use libp2p::multihash::Multihash;

use super::lock::lock;
use super::peer::Peer;
use super::serve_budget::ServeBudget;
use super::serve_queue::Want;

/// Who waits for blocks that are not there yet.
#[derive(Default)]
pub struct WaitingPeers(Mutex<HashMap<Multihash<64>, Vec<Weak<Peer>>>>);

impl WaitingPeers {
    /// Keep a want until its block comes, if there is room for it.
    pub fn add(&self, peer: &Arc<Peer>, want: Want, budget: &ServeBudget) {
        let multihash = *want.cid.hash();
        // Held meanwhile, or a block that comes in between would find only half of it.
        let mut peers = lock(&self.0);
        if !peer.serve.keep(want, budget) {
            return;
        }
        let peers = peers.entry(multihash).or_default();
        if !peers.iter().any(|known| known.as_ptr() == Arc::as_ptr(peer)) {
            peers.push(Arc::downgrade(peer));
        }
    }

    /// A block came: those who wait for it are answered.
    pub fn release(&self, multihash: &Multihash<64>) {
        let waiting = lock(&self.0).remove(multihash);
        for peer in waiting.into_iter().flatten().filter_map(|peer| peer.upgrade()) {
            peer.serve.release(multihash);
        }
    }

    /// All blocks that are waited for.
    pub fn multihashes(&self) -> Vec<Multihash<64>> {
        lock(&self.0).keys().copied().collect()
    }

    /// The peer waits for these no longer.
    pub fn forget(&self, peer: &Arc<Peer>, given_up: &[Multihash<64>]) {
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
    pub fn leave(&self, peer: &Arc<Peer>) {
        self.forget(peer, &peer.serve.clear());
    }
}
