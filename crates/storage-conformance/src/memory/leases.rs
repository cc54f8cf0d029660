//! Leases in memory: taken, renewed, read; and what workers ask of waiting roots.

use std::ops::Bound;

use async_trait::async_trait;
use pinrail_domain::{AccountId, Lease, LeaseKey, LeaseNews, LeaseTask, LeaseToken, NodeId, RootState};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{ProgressReport, RootQueue, Settlement, StorageError};

use super::MemoryStorage;
use super::fairness::Turns;
use super::tables::{LeaseRow, RootRow, Tables};

#[async_trait]
impl RootQueue for MemoryStorage {
    async fn lease_due(
        &self,
        node: &NodeId,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
        slots: usize,
    ) -> Result<Vec<Lease>, StorageError> {
        self.answer("lease_due")?;
        Ok(self.step_at(now, |tables| {
            if tables.is_retired(node) {
                return Vec::new();
            }
            let mut turns = Turns::new(tables, *node, now, slots);
            let pins = std::iter::from_fn(|| turns.take_next()).take(limit).collect::<Vec<_>>();
            let releases = tables.due_releases(node, now, slots);
            let pins = pins.into_iter().map(|(root, account)| (root, Some(account)));
            let taken = pins.chain(releases.into_iter().map(|root| (root, None)));
            taken.map(|(root, account)| tables.take_lease(&root, *node, account, now, until)).collect()
        }))
    }

    async fn renew(&self, leases: &[LeaseKey], until: Timestamp) -> Result<Vec<bool>, StorageError> {
        self.answer("renew")?;
        Ok(self.step(|tables| {
            let renew = |key: &LeaseKey| match tables.leased_mut(key) {
                Some(root) => {
                    root.lease.as_mut().expect("it is leased").until = until;
                    true
                }
                None => false,
            };
            leases.iter().map(renew).collect()
        }))
    }

    async fn read_leases(&self, leases: &[LeaseKey]) -> Result<Vec<LeaseNews>, StorageError> {
        self.answer("read_leases")?;
        Ok(self.step(|tables| leases.iter().map(|key| tables.news(key)).collect()))
    }

    async fn report_progress(&self, reports: &[ProgressReport]) -> Result<(), StorageError> {
        self.answer("report_progress")?;
        self.step(|tables| {
            for report in reports {
                if let Some(root) = tables.leased_mut(&report.lease) {
                    root.progress = report.progress;
                }
            }
        });
        Ok(())
    }

    async fn settle(
        &self,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Result<(), StorageError>>, StorageError> {
        self.answer("settle")?;
        let settle = |tables: &mut Tables| settlements.iter().map(|one| tables.settle(one, now)).collect();
        Ok(self.step_at(now, settle))
    }

    async fn copy_statuses(&self) -> Result<bool, StorageError> {
        Ok(self.step(|tables| {
            let next = tables.roots.iter().find(|(_, root)| !root.behind.is_empty()).map(|(key, _)| key.clone());
            if let Some(key) = next {
                tables.copy_status(&key);
            }
            tables.roots.values().any(|root| !root.behind.is_empty())
        }))
    }

    async fn expire_holds(&self, now: Timestamp) -> Result<usize, StorageError> {
        Ok(self.step_for_workers(now, |tables| tables.expire_holds(now)))
    }

    async fn wake(&self, node: &NodeId, roots: &[RootKey], now: Timestamp) -> Result<(), StorageError> {
        self.step_for_workers(now, |tables| {
            for key in roots {
                if let Some(root) = tables.roots.get_mut(key).filter(|root| root.node == *node && root.waiting) {
                    root.waiting = false;
                    root.retry = false;
                    root.due = root.due.min(now);
                }
            }
        });
        Ok(())
    }

    async fn list_waiting(
        &self,
        node: &NodeId,
        after: Option<&RootKey>,
        limit: usize,
    ) -> Result<Vec<RootKey>, StorageError> {
        Ok(self.step(|tables| {
            let first = after.map_or(Bound::Unbounded, Bound::Excluded);
            let rest = tables.roots.range((first, Bound::Unbounded));
            let waiting = rest.filter(|(_, root)| root.node == *node && root.waiting);
            waiting.take(limit).map(|(key, _)| key.clone()).collect()
        }))
    }

    async fn changed(&self) -> Result<(), StorageError> {
        self.changed.notified().await;
        Ok(())
    }
}

impl Tables {
    /// The root of a lease that is still held.
    pub fn leased_mut(&mut self, key: &LeaseKey) -> Option<&mut RootRow> {
        self.roots.get_mut(&key.root).filter(|root| root.is_leased_as(key))
    }

    /// The releases that the node may take now.
    pub fn due_releases(&self, node: &NodeId, now: Timestamp, slots: usize) -> Vec<RootKey> {
        let mut due = self.roots.iter().filter(|(_, root)| self.may_release(root, node, now)).collect::<Vec<_>>();
        due.sort_by_key(|(_, root)| (root.due, root.age));
        due.into_iter().take(self.room_for_releases(node, now, slots)).map(|(key, _)| key.clone()).collect()
    }

    /// Whether the node may take the root now to release it: its own, or a retired node's, of which others may have a
    /// copy too.
    pub fn may_release(&self, root: &RootRow, node: &NodeId, now: Timestamp) -> bool {
        let is_for_node = root.node == *node || self.is_retired(&root.node);
        is_for_node && root.state == RootState::Releasing && root.due <= now && !root.is_leased(now)
    }

    /// How many more releases the node may have running.
    pub fn room_for_releases(&self, node: &NodeId, now: Timestamp, slots: usize) -> usize {
        let is_running =
            |root: &&RootRow| root.node == *node && root.state == RootState::Releasing && root.is_leased(now);
        slots.saturating_sub(self.roots.values().filter(is_running).count())
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
        let was_queued = self.roots[key].state == RootState::Queued;
        let root = self.root_mut(key);
        root.give_to(node);
        root.lease = Some(LeaseRow { token, until, account });
        root.epoch += 1;
        root.attempts += 1;
        if let Some(account) = account {
            root.begin_pinning(node);
            self.served.insert((node, account), now);
        }
        if was_queued {
            self.change_copies(key);
        }
        self.lease(key, token, until)
    }

    /// The lease as the worker is told of it.
    fn lease(&self, key: &RootKey, token: LeaseToken, until: Timestamp) -> Lease {
        let root = &self.roots[key];
        let task = match root.state {
            RootState::Releasing => LeaseTask::Release,
            _ => LeaseTask::Pin { origins: self.origins(root), previous: self.previous(root) },
        };
        Lease {
            key: LeaseKey { root: key.clone(), token, epoch: root.epoch },
            task,
            account: root.lease.as_ref().and_then(|lease| lease.account),
            attempt: root.attempts,
            wanted_since: root.wanted_since,
            until,
        }
    }

    /// The youngest root on this root's node that its requests hold and that is whole.
    fn previous(&self, root: &RootRow) -> Option<RootKey> {
        let held = root.requests.iter().flat_map(|request| &self.requests[request].holds);
        let whole = held.filter(|key| {
            let held = &self.roots[*key];
            held.state == RootState::Pinned && held.node == root.node
        });
        whole.max_by_key(|key| self.roots[*key].age).cloned()
    }

    fn news(&self, key: &LeaseKey) -> LeaseNews {
        match self.roots.get(&key.root).filter(|root| root.is_leased_as(key)) {
            None => LeaseNews::Lost,
            Some(root) if self.is_over_quota(&root.accounts()) => LeaseNews::OverQuota,
            Some(root) => LeaseNews::Wanted { origins: self.origins(root) },
        }
    }
}

impl RootRow {
    fn is_leased_as(&self, key: &LeaseKey) -> bool {
        self.epoch == key.epoch && self.lease.as_ref().is_some_and(|lease| lease.token == key.token)
    }

    fn begin_pinning(&mut self, node: NodeId) {
        self.state = RootState::Pinning;
        self.retry = true;
        self.waiting = false;
        self.paused = false;
        self.holders.insert(node);
    }
}
