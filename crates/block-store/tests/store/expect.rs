//! What a store has to hold after a crash, by what it had answered.
use std::collections::{BTreeMap, BTreeSet};

use pinrail_block_store::{NodeKey, RootState};

use crate::script::{Done, Step};

/// What may be known of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Fetching(u64),
    Pinned(u64),
    /// The epoch, and until when.
    Failed(u64, u64),
    /// Not held; the epoch that was released, if any.
    Absent(u64),
}

/// What is to be found of one root.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Where it stands: what was answered, and what was asked for since without an answer.
    pub holds: Vec<Hold>,
    /// Blocks that were answered for its present fetch.
    pub blocks: BTreeSet<NodeKey>,
    /// A block of the fetch was not committed, so that nothing keeps those that it links to.
    pub torn: bool,
}

/// What a crash at this change of the disk has to leave.
pub fn expect(history: &[Done], crash: usize) -> BTreeMap<NodeKey, Expected> {
    let mut all = BTreeMap::new();
    for done in history.iter().filter(|done| done.from < crash) {
        let answered = done.to <= crash;
        match &done.step {
            Step::Begin(root, epoch) => change(&mut all, *root, done, answered, |_| Hold::Fetching(*epoch)),
            Step::Finish(root, epoch) => change(&mut all, *root, done, answered, |_| Hold::Pinned(*epoch)),
            Step::Fail(root, epoch, now_ms) => {
                change(&mut all, *root, done, answered, |_| Hold::Failed(*epoch, now_ms + 1_000));
            }
            Step::Release(root, epoch) => {
                change(&mut all, *root, done, answered, |_| Hold::Absent(*epoch));
            }
            Step::Put(root, ..) | Step::Import(root, ..) | Step::Adopt(root, ..) if answered => {
                let expected = all.entry(*root).or_default();
                expected.torn |= done.result.is_err() && !done.is_refused();
                if !expected.torn {
                    expected.blocks.extend(&done.blocks);
                }
            }
            Step::Discard(root, _, block) => {
                all.entry(*root).or_default().blocks.remove(block);
            }
            Step::Collect(now_ms) => {
                let roots: Vec<NodeKey> = all.keys().copied().collect();
                for root in roots {
                    change(&mut all, root, done, answered, |hold| match hold {
                        Hold::Failed(epoch, until) if until <= *now_ms => Hold::Absent(epoch),
                        // After a while older epochs are not refused any more.
                        Hold::Absent(_) => Hold::Absent(0),
                        other => other,
                    });
                }
            }
            _ => {}
        }
    }
    all
}

fn change(
    all: &mut BTreeMap<NodeKey, Expected>,
    root: NodeKey,
    done: &Done,
    answered: bool,
    become_of: impl Fn(Hold) -> Hold,
) {
    if done.is_refused() {
        return;
    }
    let expected = all.entry(root).or_default();
    if expected.holds.is_empty() {
        expected.holds.push(Hold::Absent(0));
    }
    let mut then: Vec<Hold> = expected.holds.iter().map(|hold| become_of(*hold)).collect();
    if !answered || done.result.is_err() {
        then.extend(&expected.holds);
    }
    then.dedup();
    expected.holds = then;
    if expected.holds.iter().any(|hold| matches!(hold, Hold::Absent(_))) {
        expected.blocks.clear();
        expected.torn = false;
    }
}

impl Expected {
    /// Whether this is where the root may stand.
    pub fn allows(&self, state: Option<&RootState>) -> bool {
        self.holds.iter().any(|hold| match (hold, state) {
            (Hold::Absent(_), None) => true,
            (Hold::Fetching(epoch) | Hold::Failed(epoch, _), Some(state)) => !state.pinned && state.epoch == *epoch,
            (Hold::Pinned(epoch), Some(state)) => state.pinned && state.epoch == *epoch,
            _ => false,
        })
    }

    /// The epoch that was accepted for sure: older ones are refused.
    pub fn epoch(&self) -> u64 {
        let epochs = self.holds.iter().map(|hold| match hold {
            Hold::Fetching(epoch) | Hold::Pinned(epoch) | Hold::Failed(epoch, _) | Hold::Absent(epoch) => *epoch,
        });
        epochs.min().unwrap_or_default()
    }
}
