//! Leases in memory: taken, described, settled.

use pinrail_domain::{
    AccountId, Lease, LeaseKey, LeaseLost, LeaseNews, LeaseTask, LeaseToken, NodeId, RootState, Settled,
};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{Settlement, StorageError};

use super::tables::{RootRow, Tables};

impl Tables {
    /// The root of a lease that is still held.
    pub fn leased_mut(&mut self, key: &LeaseKey) -> Option<&mut RootRow> {
        self.roots.get_mut(&key.root).filter(|root| root.record.is_held_by(key))
    }

    /// Whether the node may take the root now to pin it: its own, or that of a node that is not live.
    pub fn may_pin(&self, root: &RootRow, node: &NodeId, now: Timestamp) -> bool {
        (root.node == *node || !self.is_live(&root.node, now)) && root.record.may_be_pinned(now)
    }

    /// Whether the node may take the root now to release it: its own, or a retired node's, of which others may have a
    /// copy too.
    pub fn may_release(&self, root: &RootRow, node: &NodeId, now: Timestamp) -> bool {
        (root.node == *node || self.is_retired(&root.node)) && root.record.may_be_released(now)
    }

    /// The releases that the node may take now.
    pub fn due_releases(&self, node: &NodeId, now: Timestamp, slots: usize) -> Vec<RootKey> {
        let mut due = self.roots.iter().filter(|(_, root)| self.may_release(root, node, now)).collect::<Vec<_>>();
        due.sort_by_key(|(_, root)| (root.record.due, root.age));
        due.into_iter().take(self.room_for_releases(node, now, slots)).map(|(key, _)| key.clone()).collect()
    }

    /// How many more releases the node may have running.
    pub fn room_for_releases(&self, node: &NodeId, now: Timestamp, slots: usize) -> usize {
        let running = self.leased_by(node, now).filter(|root| root.record.state == RootState::Releasing);
        slots.saturating_sub(running.count())
    }

    /// The roots that unexpired leases of the node hold.
    pub fn leased_by(&self, node: &NodeId, now: Timestamp) -> impl Iterator<Item = &RootRow> {
        self.roots.values().filter(move |root| root.node == *node && root.record.is_leased(now))
    }

    pub fn take_lease(
        &mut self,
        key: &RootKey,
        node: NodeId,
        account: Option<AccountId>,
        now: Timestamp,
        until: Timestamp,
    ) -> Lease {
        self.leases_made += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.leases_made.to_be_bytes());
        let token = LeaseToken::new(now, random);
        self.change(key, |root| root.take_lease(token, until));
        let root = self.root_mut(key);
        root.node = node;
        root.leased_for = account;
        if let Some(account) = account {
            root.holders.insert(node);
            self.served.insert((node, account), now);
        }
        self.lease(key, token, until)
    }

    /// The lease as the worker is told of it.
    fn lease(&self, key: &RootKey, token: LeaseToken, until: Timestamp) -> Lease {
        let root = &self.roots[key];
        let task = match root.record.state {
            RootState::Releasing => LeaseTask::Release,
            _ => LeaseTask::Pin { origins: self.origins(root), previous: self.previous(root) },
        };
        Lease {
            key: LeaseKey { root: key.clone(), token, epoch: root.record.epoch },
            task,
            account: root.leased_for,
            attempt: root.record.attempts,
            wanted_since: root.record.wanted_since,
            until,
        }
    }

    /// The youngest root on this root's node that its requests hold and that is whole.
    fn previous(&self, root: &RootRow) -> Option<RootKey> {
        let held = root.requests.iter().flat_map(|request| &self.requests[request].holds);
        let whole = held.filter(|key| {
            let held = &self.roots[*key];
            held.record.state == RootState::Pinned && held.node == root.node
        });
        whole.max_by_key(|key| self.roots[*key].age).cloned()
    }

    pub fn news(&self, key: &LeaseKey) -> LeaseNews {
        match self.roots.get(&key.root).filter(|root| root.record.is_held_by(key)) {
            None => LeaseNews::Lost,
            Some(root) if self.is_over_quota(root) => LeaseNews::OverQuota,
            Some(root) => LeaseNews::Wanted { origins: self.origins(root) },
        }
    }

    pub fn settle(&mut self, settlement: &Settlement, now: Timestamp) -> Result<(), StorageError> {
        let key = &settlement.lease.root;
        self.leased_mut(&settlement.lease).ok_or(StorageError::LeaseLost)?;
        let settled = self.change(key, |root| root.settle(&settlement.verdict, now));
        match settled.map_err(|LeaseLost| StorageError::LeaseLost)? {
            Settled::Pinned => self.after_pinned(key, now),
            Settled::Failed { holds_end } => self.end_holds_later(key, Some(holds_end)),
            Settled::PutOff => {}
            Settled::Released => self.finish_release(key, now),
        }
        Ok(())
    }

    /// The root's node has no copy any more: the row goes, or on to the next node that may have one.
    pub fn finish_release(&mut self, key: &RootKey, now: Timestamp) {
        let mut root = self.roots.remove(key).expect("it was to be released");
        root.holders.remove(&root.node);
        if let Some(next) = root.holders.iter().find(|node| !self.is_retired(node)) {
            root.node = *next;
            root.record.release_next(now);
            self.roots.insert(key.clone(), root);
        } else {
            self.released_epoch = self.released_epoch.max(root.record.epoch);
        }
    }
}
