//! Accounts, their access and their limits.

use async_trait::async_trait;
use pinrail_domain::{Access, Account, AccountId, Limits, Role};
use pinrail_spec::Timestamp;

use crate::StorageError;

/// An account to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its identifier.
    pub id: AccountId,
    /// Its unique name, 1 to 64 characters.
    pub name: String,
    /// Where to write to, if known.
    pub email: Option<String>,
    /// What it may do beyond its own pins.
    pub role: Role,
    /// The most it may use.
    pub limits: Limits,
}

/// What is kept of accounts.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Add an account without access; `Conflict` when the name or the id is taken. Names differ by their bytes.
    async fn add_account(&self, account: &NewAccount, now: Timestamp) -> Result<Account, StorageError>;

    /// The account with this id.
    async fn find_account(&self, id: &AccountId) -> Result<Option<Account>, StorageError>;

    /// The account with this name.
    async fn find_account_by_name(&self, name: &str) -> Result<Option<Account>, StorageError>;

    /// Up to `limit` accounts in the order of their names (of the bytes, whatever the database's collation), those
    /// after `after`.
    async fn list_accounts(&self, after: Option<&str>, limit: u16) -> Result<Vec<Account>, StorageError>;

    /// Grant access or withdraw it (`None`), and set limits unless they are `None`; `Missing` without the account. The
    /// moment at which an access was withdrawn is kept until one is granted.
    ///
    /// What is pinned stays, what is queued goes on.
    async fn set_access(
        &self,
        id: &AccountId,
        access: Option<&Access>,
        limits: Option<&Limits>,
        now: Timestamp,
    ) -> Result<Account, StorageError>;

    /// Block with a reason, or unblock (`None`); `Missing` without the account.
    ///
    /// Roots that only blocked accounts want are neither leased nor retried, and what they have stays. Blocking ends
    /// the leases of fetches that no other account wants: their workers read `Lost`. Unblocking makes unfinished
    /// roots that only blocked accounts wanted due at once, with a fresh time limit (`wanted_since = now`).
    async fn set_blocked(&self, id: &AccountId, reason: Option<&str>, now: Timestamp) -> Result<Account, StorageError>;
}
