//! Fair shares in memory: whose turn it is, and which of the account's roots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pinrail_domain::{AccountId, FairQueue, NodeId, WaitingAccount};
use pinrail_spec::{RootKey, Timestamp};

use super::tables::Tables;

/// The accounts that want roots of one node, in turns, and what each waits for.
pub struct Turns {
    accounts: FairQueue,
    queues: BTreeMap<AccountId, VecDeque<RootKey>>,
    taken: BTreeSet<RootKey>,
}

impl Turns {
    /// The turns of a node whose worker has `slots` roots at once.
    pub fn new(tables: &Tables, node: NodeId, now: Timestamp, slots: usize) -> Self {
        let queues = tables.queues(&node, now);
        let running = tables.running(&node, now);
        let waiting = queues.keys().map(|account| WaitingAccount {
            id: *account,
            running: running.get(account).copied().unwrap_or(0),
            last_served: tables.served.get(&(node, *account)).copied(),
        });
        Self { accounts: FairQueue::new(slots, now, waiting), queues, taken: BTreeSet::new() }
    }
}

/// The roots to take, and for whom.
impl Iterator for Turns {
    type Item = (RootKey, AccountId);

    fn next(&mut self) -> Option<(RootKey, AccountId)> {
        loop {
            let account = self.accounts.next()?;
            match self.queues.get_mut(&account)?.pop_front() {
                Some(key) if self.taken.insert(key.clone()) => {
                    self.accounts.serve();
                    return Some((key, account));
                }
                Some(_) => {}
                None => self.accounts.remove(),
            }
        }
    }
}

impl Tables {
    /// What each account that is not blocked waits for, in its own order.
    fn queues(&self, node: &NodeId, now: Timestamp) -> BTreeMap<AccountId, VecDeque<RootKey>> {
        let mut due = self.roots.iter().filter(|(_, root)| self.may_pin(root, node, now)).collect::<Vec<_>>();
        due.sort_by_key(|(_, root)| (root.record.retry, root.record.due, root.age));

        let mut queues = BTreeMap::<AccountId, VecDeque<RootKey>>::new();
        for (key, root) in due {
            for account in root.accounts().into_iter().filter(|account| !self.is_blocked(account)) {
                queues.entry(account).or_default().push_back(key.clone());
            }
        }
        queues
    }

    /// How many unexpired leases of the node were taken for each account.
    pub fn running(&self, node: &NodeId, now: Timestamp) -> BTreeMap<AccountId, usize> {
        let mut running = BTreeMap::new();
        for account in self.leased_by(node, now).filter_map(|root| root.leased_for) {
            *running.entry(account).or_default() += 1;
        }
        running
    }
}
