//! Accounts and nodes: which of their steps write, and which concern workers. Compiled for each database.

use async_trait::async_trait;
use pinrail_domain::{Access, Account, AccountId, Limits, Node, NodeId};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::{Accounts, NewAccount, NodeRegistration, Nodes, StorageError};

use super::Store;
use super::queries::{accounts, nodes};

#[async_trait]
impl Accounts for Store {
    async fn add_account(&self, account: &NewAccount, now: Timestamp) -> Result<Account, StorageError> {
        let (account, by) = (account.clone(), self.actor());
        self.write(Some(now), move |conn| {
            Box::pin(async move { accounts::add_account(conn, &account, &by, now).await })
        })
        .await
    }

    async fn find_account(&self, id: &AccountId) -> Result<Option<Account>, StorageError> {
        let id = *id;
        self.read(move |conn| Box::pin(async move { accounts::find_account(conn, &id).await })).await
    }

    async fn find_account_by_name(&self, name: &str) -> Result<Option<Account>, StorageError> {
        let name = name.to_owned();
        self.read(move |conn| Box::pin(async move { accounts::find_account_by_name(conn, &name).await })).await
    }

    async fn list_accounts(&self, after: Option<&str>, limit: u16) -> Result<Vec<Account>, StorageError> {
        let after = after.map(str::to_owned);
        self.read(move |conn| Box::pin(async move { accounts::list_accounts(conn, after.as_deref(), limit).await }))
            .await
    }

    async fn set_access(
        &self,
        id: &AccountId,
        access: Option<&Access>,
        limits: Option<&Limits>,
        now: Timestamp,
    ) -> Result<Account, StorageError> {
        let id = *id;
        let access = access.cloned();
        let (limits, by) = (limits.copied(), self.actor());
        self.write_for_workers(now, move |conn| {
            Box::pin(async move { accounts::set_access(conn, &id, (access.as_ref(), limits.as_ref()), &by, now).await })
        })
        .await
    }

    async fn set_blocked(&self, id: &AccountId, reason: Option<&str>, now: Timestamp) -> Result<Account, StorageError> {
        let id = *id;
        let (reason, by) = (reason.map(str::to_owned), self.actor());
        self.write_for_workers(now, move |conn| {
            Box::pin(async move { accounts::set_blocked(conn, &id, reason.as_deref(), &by, now).await })
        })
        .await
    }
}

#[async_trait]
impl Nodes for Store {
    async fn register_node(&self, node: &NodeRegistration, now: Timestamp) -> Result<(), StorageError> {
        let node = node.clone();
        self.write_for_workers(now, move |conn| Box::pin(async move { nodes::register_node(conn, &node, now).await }))
            .await
    }

    async fn set_addresses(&self, id: &NodeId, addresses: &[Multiaddr], now: Timestamp) -> Result<(), StorageError> {
        let id = *id;
        let addresses = addresses.to_vec();
        self.write(Some(now), move |conn| {
            Box::pin(async move { nodes::set_addresses(conn, &id, &addresses, now).await })
        })
        .await
    }

    async fn beat(&self, id: &NodeId, now: Timestamp) -> Result<(), StorageError> {
        let id = *id;
        self.write(Some(now), move |conn| Box::pin(async move { nodes::beat(conn, &id, now).await })).await
    }

    async fn list_nodes(&self) -> Result<Vec<Node>, StorageError> {
        self.read(move |conn| Box::pin(async move { nodes::list_nodes(conn).await })).await
    }

    async fn retire_node(&self, id: &NodeId, now: Timestamp) -> Result<(), StorageError> {
        let (id, by) = (*id, self.actor());
        self.write_for_workers(now, move |conn| Box::pin(async move { nodes::retire_node(conn, &id, &by, now).await }))
            .await?;
        // A million pinned roots are no single transaction; what is left when this ends early, a second call does.
        while self
            .write_for_workers(now, move |conn| Box::pin(async move { nodes::empty_retired(conn, &id, now).await }))
            .await?
        {}
        Ok(())
    }
}
