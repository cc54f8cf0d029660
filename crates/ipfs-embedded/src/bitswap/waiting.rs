//! Who waits for which block, and what was waited for until lately.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use libp2p::multihash::Multihash;

/// At least so many of the blocks that were waited for last are remembered, and at most twice as many.
const REMEMBERED: usize = 1 << 17;

/// The blocks that subscribers wait for.
///
/// What was asked of several peers comes from several: of a block that was wanted, and of a small one also where only
/// its presence was asked for, since other nodes send that at once. So the later copies are told from what nobody ever
/// asked for. Whom it was asked of is not remembered: watched roots are asked of every peer, which would be as many
/// memories as there are peers, and a block that is waited for is taken from anybody.
#[derive(Default)]
pub(super) struct Waiting {
    waiters: HashMap<Multihash<64>, Vec<u64>>,
    /// Keyed hashes in place of multihashes, a tenth of the memory.
    lately: HashSet<u64>,
    before: HashSet<u64>,
    hasher: RandomState,
}

impl Waiting {
    /// `subscriber` waits for a block from now on.
    pub fn add(&mut self, multihash: Multihash<64>, subscriber: u64) {
        let waiters = self.waiters.entry(multihash).or_default();
        if !waiters.contains(&subscriber) {
            waiters.push(subscriber);
        }
    }

    /// `subscriber` waits for a block no longer; whether nobody else does.
    pub fn remove(&mut self, multihash: &Multihash<64>, subscriber: u64) -> bool {
        let Some(waiters) = self.waiters.get_mut(multihash) else { return true };
        waiters.retain(|waiter| *waiter != subscriber);
        let last = waiters.is_empty();
        if last {
            self.take(multihash);
        }
        last
    }

    /// Who waits for a block, which then nobody does any more.
    pub fn take(&mut self, multihash: &Multihash<64>) -> Option<Vec<u64>> {
        let waiters = self.waiters.remove(multihash)?;
        if self.lately.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.lately);
        }
        self.lately.insert(self.hasher.hash_one(multihash));
        Some(waiters)
    }

    /// Who waits for a block.
    pub fn get(&self, multihash: &Multihash<64>) -> &[u64] {
        self.waiters.get(multihash).map_or(&[], Vec::as_slice)
    }

    /// Whether somebody waited for a block not long ago.
    pub fn was_wanted(&self, multihash: &Multihash<64>) -> bool {
        let known = self.hasher.hash_one(multihash);
        self.lately.contains(&known) || self.before.contains(&known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinrail_ipfs::hash::hash;

    #[test]
    fn the_last_ones_are_remembered_and_not_all() {
        let mut waiting = Waiting::default();
        let name = |index: usize| hash(0x12, 32, &index.to_le_bytes()).expect("sha2-256");
        for index in 0..=2 * REMEMBERED {
            waiting.add(name(index), 1);
            assert!(waiting.remove(&name(index), 1));
        }
        assert!((REMEMBERED + 1..=2 * REMEMBERED).all(|index| waiting.was_wanted(&name(index))));
        assert!(!waiting.was_wanted(&name(0)) && !waiting.was_wanted(&name(2 * REMEMBERED + 1)));
    }
}
