//! The queue of roots: which of its steps write, and which concern workers. Compiled for each database.

use async_trait::async_trait;
use pinrail_domain::{Lease, LeaseKey, LeaseNews, NodeId};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{ProgressReport, RootQueue, Settlement, StorageError};

use super::Store;
use super::queries::{holds, leases, maintenance, settle};

#[async_trait]
impl RootQueue for Store {
    async fn lease_due(
        &self,
        node: &NodeId,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
        slots: usize,
    ) -> Result<Vec<Lease>, StorageError> {
        let node = *node;
        self.write(Some(now), move |conn| {
            Box::pin(async move { leases::lease_due(conn, &node, now, until, limit, slots).await })
        })
        .await
    }

    async fn renew(&self, leases: &[LeaseKey], until: Timestamp) -> Result<Vec<bool>, StorageError> {
        let keys = leases.to_vec();
        self.write(None, move |conn| Box::pin(async move { leases::renew(conn, &keys, until).await })).await
    }

    async fn read_leases(&self, leases: &[LeaseKey]) -> Result<Vec<LeaseNews>, StorageError> {
        let keys = leases.to_vec();
        self.read(move |conn| Box::pin(async move { leases::read_leases(conn, &keys).await })).await
    }

    async fn report_progress(&self, reports: &[ProgressReport]) -> Result<(), StorageError> {
        let reports = reports.to_vec();
        self.write(None, move |conn| Box::pin(async move { settle::report_progress(conn, &reports).await })).await
    }

    async fn settle(
        &self,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<Result<(), StorageError>>, StorageError> {
        let settlements = settlements.to_vec();
        self.write(Some(now), move |conn| Box::pin(async move { settle::settle(conn, &settlements, now).await })).await
    }

    async fn copy_statuses(&self) -> Result<bool, StorageError> {
        self.write(None, move |conn| Box::pin(async move { maintenance::copy_statuses(conn).await })).await
    }

    async fn expire_holds(&self, now: Timestamp) -> Result<usize, StorageError> {
        self.write_for_workers(now, move |conn| Box::pin(async move { holds::expire_holds(conn, now).await })).await
    }

    async fn wake(&self, node: &NodeId, roots: &[RootKey], now: Timestamp) -> Result<(), StorageError> {
        let node = *node;
        let roots = roots.to_vec();
        self.write_for_workers(now, move |conn| {
            Box::pin(async move { maintenance::wake(conn, &node, &roots, now).await })
        })
        .await
    }

    async fn list_waiting(
        &self,
        node: &NodeId,
        after: Option<&RootKey>,
        limit: usize,
    ) -> Result<Vec<RootKey>, StorageError> {
        let node = *node;
        let after = after.cloned();
        self.read(move |conn| {
            Box::pin(async move { maintenance::list_waiting(conn, &node, after.as_ref(), limit).await })
        })
        .await
    }

    async fn changed(&self) -> Result<(), StorageError> {
        self.await_change().await
    }
}
