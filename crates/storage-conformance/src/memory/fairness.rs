//! Whose turn it is, and which of the account's roots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pinrail_domain::{AccountId, NodeId};
use pinrail_spec::{RootKey, Timestamp};

use super::tables::{RootRow, Tables};

/// The accounts that want roots of one node, and what each has running.
pub struct Turns<'tables> {
    tables: &'tables Tables,
    node: NodeId,
    now: Timestamp,
    /// The most that one account may have running.
    most: usize,
    queues: BTreeMap<AccountId, VecDeque<RootKey>>,
    running: BTreeMap<AccountId, usize>,
    served: BTreeSet<AccountId>,
    taken: BTreeSet<RootKey>,
}

impl<'tables> Turns<'tables> {
    /// The turns of a node whose worker has `slots` roots at once, the last quarter of which no account gets.
    pub fn new(tables: &'tables Tables, node: NodeId, now: Timestamp, slots: usize) -> Self {
        Self {
            tables,
            node,
            now,
            most: most_of_one(slots),
            queues: queues(tables, node, now),
            running: running(tables, node, now),
            served: BTreeSet::new(),
            taken: BTreeSet::new(),
        }
    }

    /// The next root to take, and for whom.
    pub fn take_next(&mut self) -> Option<(RootKey, AccountId)> {
        for queue in self.queues.values_mut() {
            queue.retain(|key| !self.taken.contains(key));
        }
        let ready = self.queues.iter().filter(|(account, queue)| !queue.is_empty() && self.runs(account) < self.most);
        let account = *ready.map(|(account, _)| account).min_by_key(|account| self.turn(account))?;
        let key = self.queues.get_mut(&account)?.pop_front()?;
        *self.running.entry(account).or_default() += 1;
        self.served.insert(account);
        self.taken.insert(key.clone());
        Some((key, account))
    }

    fn turn(&self, account: &AccountId) -> (usize, Option<Timestamp>, AccountId) {
        let now = self.served.contains(account).then_some(self.now);
        let last_served = now.or_else(|| self.tables.served.get(&(self.node, *account)).copied());
        (self.runs(account), last_served, *account)
    }

    fn runs(&self, account: &AccountId) -> usize {
        self.running.get(account).copied().unwrap_or(0)
    }
}

/// How many of a worker's slots one account gets at most.
pub const fn most_of_one(slots: usize) -> usize {
    slots - slots / 4
}

impl Tables {
    /// Whether the node may take the root now to pin it.
    pub fn is_due_on(&self, node: &NodeId, root: &RootRow, now: Timestamp) -> bool {
        let is_for_node = root.node == *node || !self.is_live(&root.node, now);
        is_for_node && root.is_unfinished() && root.due <= now && !root.is_leased(now)
    }
}

/// What each account that is not blocked waits for, in its own order.
fn queues(tables: &Tables, node: NodeId, now: Timestamp) -> BTreeMap<AccountId, VecDeque<RootKey>> {
    let mut due = tables.roots.iter().filter(|(_, root)| tables.is_due_on(&node, root, now)).collect::<Vec<_>>();
    due.sort_by_key(|(_, root)| (root.retry, root.due, root.age));

    let mut queues = BTreeMap::<AccountId, VecDeque<RootKey>>::new();
    for (key, root) in due {
        for account in root.accounts().into_iter().filter(|account| !tables.is_blocked(account)) {
            queues.entry(account).or_default().push_back(key.clone());
        }
    }
    queues
}

/// How many unexpired leases of the node were taken for each account.
pub fn running(tables: &Tables, node: NodeId, now: Timestamp) -> BTreeMap<AccountId, usize> {
    let mut running = BTreeMap::new();
    for root in tables.roots.values().filter(|root| root.node == node && root.is_leased(now)) {
        if let Some(account) = root.lease.as_ref().and_then(|lease| lease.account) {
            *running.entry(account).or_default() += 1;
        }
    }
    running
}
