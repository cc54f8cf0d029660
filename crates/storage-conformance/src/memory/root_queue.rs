//! The queue of roots in memory, as workers use it.

use std::ops::Bound;

use async_trait::async_trait;
use pinrail_domain::{Lease, LeaseKey, LeaseNews, NodeId};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{ProgressReport, RootQueue, Settlement, StorageError};

use super::MemoryStorage;
use super::fair_queue::Turns;
use super::tables::Tables;

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
            let pins = Turns::new(tables, *node, now, slots).take(limit).map(|(root, account)| (root, Some(account)));
            let releases = tables.due_releases(node, now, slots);
            let taken = pins.chain(releases.into_iter().map(|root| (root, None)));
            taken.map(|(root, account)| tables.take_lease(&root, *node, account, now, until)).collect()
        }))
    }

    async fn renew(&self, leases: &[LeaseKey], until: Timestamp) -> Result<Vec<bool>, StorageError> {
        self.answer("renew")?;
        Ok(self.step(|tables| {
            let renew = |key: &LeaseKey| match tables.leased_mut(key) {
                Some(root) => {
                    root.record.renew_lease(until);
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
                    root.received = report.progress;
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
                if let Some(root) = tables.roots.get_mut(key).filter(|root| root.node == *node && root.record.waiting) {
                    root.record.wake(now);
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
            let waiting = rest.filter(|(_, root)| root.node == *node && root.record.waiting);
            waiting.take(limit).map(|(key, _)| key.clone()).collect()
        }))
    }

    async fn changed(&self) -> Result<(), StorageError> {
        self.changed.notified().await;
        Ok(())
    }
}
