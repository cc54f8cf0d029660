//! Fair shares: which account's turn it is when a node takes roots.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pinrail_spec::Timestamp;

use crate::AccountId;

/// The most of a worker's slots that one account gets: none gets the last quarter.
pub const fn most_for_one_account(slots: usize) -> usize {
    slots - slots / 4
}

/// An account that waits for roots of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingAccount {
    /// Which one.
    pub id: AccountId,
    /// Unexpired leases of the node that were taken for it.
    pub running: usize,
    /// When the node last took a root for it, if it ever did.
    pub last_served: Option<Timestamp>,
}

/// Fewest running, then longest not served (never served first), then the least id.
type Turn = (usize, Option<Timestamp>, AccountId);

/// The accounts that wait for roots of a node, in turns: fewest running first, then the longest not served.
#[derive(Debug)]
pub struct FairQueue {
    most: usize,
    now: Timestamp,
    waiting: BinaryHeap<Reverse<Turn>>,
}

impl FairQueue {
    /// The turns at `now` of a node whose worker has `slots` roots at once.
    pub fn new(slots: usize, now: Timestamp, waiting: impl IntoIterator<Item = WaitingAccount>) -> Self {
        let turn = |account: WaitingAccount| Reverse((account.running, account.last_served, account.id));
        Self { most: most_for_one_account(slots), now, waiting: waiting.into_iter().map(turn).collect() }
    }

    /// The account whose turn it is; the same until it is served or removed.
    pub fn next(&self) -> Option<AccountId> {
        // The first has fewest running, so if it may have no more, none may.
        self.waiting.peek().filter(|turn| turn.0.0 < self.most).map(|turn| turn.0.2)
    }

    /// Note that the account whose turn it is got a root.
    pub fn serve(&mut self) {
        if let Some(Reverse((running, _, account))) = self.waiting.pop() {
            self.waiting.push(Reverse((running + 1, Some(self.now), account)));
        }
    }

    /// Take the account whose turn it is out, because it has no root that may be taken.
    pub fn remove(&mut self) {
        self.waiting.pop();
    }
}
