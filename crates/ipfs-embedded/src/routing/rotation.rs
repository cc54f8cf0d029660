//! Which waiting roots are looked up when: new ones first, each with growing pauses; pure.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use pinrail_block_store::NodeKey;
use tokio::time::Instant;

/// The pauses before a root is looked up again; the last one goes on for ever.
const PAUSES: [Duration; 4] =
    [Duration::from_mins(1), Duration::from_mins(5), Duration::from_mins(30), Duration::from_hours(1)];

/// The roots that are waited for, and the block by which each is looked up.
#[derive(Debug, Default)]
pub struct Rotation {
    roots: HashMap<NodeKey, Waiting>,
    /// When each is due, by how often it was looked up: there are more of the old ones than the budget lasts for.
    due: [BTreeSet<(Instant, NodeKey)>; PAUSES.len()],
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    block: NodeKey,
    round: usize,
    due: Instant,
}

impl Rotation {
    /// Waits for a root by a block of its DAG that was just looked up in vain.
    pub fn add(&mut self, root: NodeKey, block: NodeKey, now: Instant) {
        match self.roots.get_mut(&root) {
            Some(waiting) => waiting.block = block,
            None => self.insert(root, block, 0, now),
        }
    }

    /// Waits for a root no longer.
    pub fn remove(&mut self, root: &NodeKey) {
        if let Some(waiting) = self.roots.remove(root) {
            self.due[waiting.round].remove(&(waiting.due, *root));
        }
    }

    /// Whether a root is due at `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.iter().filter_map(|round| round.first()).any(|(due, _)| *due <= now)
    }

    /// A root that is due at `now`, and the block to look up. It is due again after the next longer pause.
    pub fn next(&mut self, now: Instant) -> Option<(NodeKey, NodeKey)> {
        let firsts = self.due.iter().filter_map(|round| round.first());
        let (_, root) = *firsts.into_iter().find(|(due, _)| *due <= now)?;
        let Waiting { block, round, .. } = *self.roots.get(&root)?;
        self.remove(&root);
        self.insert(root, block, (round + 1).min(PAUSES.len() - 1), now);
        Some((root, block))
    }

    /// How long the one that waits the longest is due at `now`.
    pub fn behind(&self, now: Instant) -> Duration {
        let oldest = self.due.iter().filter_map(|round| round.first()).map(|(due, _)| *due).min();
        oldest.map_or(Duration::ZERO, |due| now.saturating_duration_since(due))
    }

    fn insert(&mut self, root: NodeKey, block: NodeKey, round: usize, now: Instant) {
        let due = now + PAUSES[round] + jitter(&root, PAUSES[round]);
        self.due[round].insert((due, root));
        self.roots.insert(root, Waiting { block, round, due });
    }
}

/// Up to a fifth of the pause, by the root's digest: those that began together do not stay together.
fn jitter(root: &NodeKey, pause: Duration) -> Duration {
    let share = root.multihash.digest().last().copied().unwrap_or_default();
    pause * u32::from(share) / (5 * 256)
}

#[cfg(test)]
mod tests {
    use pinrail_ipfs::hash::hash;

    use super::*;

    fn root(name: u32) -> NodeKey {
        NodeKey { codec: 0x55, multihash: hash(0x12, 32, &name.to_be_bytes()).expect("sha2-256") }
    }

    #[tokio::test]
    async fn the_pauses_grow_to_an_hour() {
        let (mut rotation, start) = (Rotation::default(), Instant::now());
        rotation.add(root(1), root(1), start);
        let mut last = start;
        let mut pauses = Vec::new();
        for second in 0..4 * 3_600 {
            let now = start + Duration::from_secs(second);
            if rotation.next(now).is_some() {
                pauses.push(now - last);
                last = now;
            }
        }
        let expected = [PAUSES[0], PAUSES[1], PAUSES[2], PAUSES[3], PAUSES[3]];
        assert!(pauses.len() >= 4, "{pauses:?}");
        for (pause, least) in pauses.iter().zip(expected) {
            assert!(*pause >= least && *pause <= least * 6 / 5 + Duration::from_secs(1), "{pauses:?}");
        }
    }

    #[tokio::test]
    async fn new_roots_come_before_old_ones_that_are_due_for_longer() {
        let (mut rotation, start) = (Rotation::default(), Instant::now());
        for name in 0..100 {
            rotation.add(root(name), root(name), start);
        }
        let later = start + Duration::from_hours(1);
        assert_eq!(std::iter::from_fn(|| rotation.next(later)).count(), 100);
        rotation.add(root(100), root(101), later);
        let much_later = later + Duration::from_hours(1);
        assert!(rotation.behind(much_later) > Duration::from_mins(50));
        assert_eq!(rotation.next(much_later), Some((root(100), root(101))));
        assert_eq!(std::iter::from_fn(|| rotation.next(much_later)).count(), 100);
        assert_eq!(rotation.behind(much_later), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_root_is_looked_up_by_its_latest_block_until_it_is_removed() {
        let (mut rotation, start) = (Rotation::default(), Instant::now());
        rotation.add(root(1), root(1), start);
        rotation.add(root(1), root(2), start + Duration::from_secs(50));
        let due = start + PAUSES[0] * 6 / 5;
        assert_eq!((rotation.next(due), rotation.next(due)), (Some((root(1), root(2))), None));
        rotation.remove(&root(1));
        assert_eq!(rotation.next(due + Duration::from_hours(2)), None);
        assert!(rotation.roots.is_empty() && rotation.due.iter().all(BTreeSet::is_empty));
    }
}
