//! Accounts in memory.

use std::ops::Bound;

use async_trait::async_trait;
use pinrail_domain::{Access, Account, AccountId, Limits, Usage};
use pinrail_spec::{RootKey, Timestamp};
use pinrail_storage::{Accounts, NewAccount, StorageError};

use super::MemoryStorage;
use super::tables::{AccountRow, RootRow, Tables};

#[async_trait]
impl Accounts for MemoryStorage {
    async fn add_account(&self, account: &NewAccount, now: Timestamp) -> Result<Account, StorageError> {
        self.step_at(now, |tables| {
            let taken = tables.accounts.contains_key(&account.id) || tables.account_named(&account.name).is_some();
            if taken {
                return Err(StorageError::Conflict(format!("account {}", account.name)));
            }
            tables.accounts.insert(account.id, AccountRow { account: fresh(account, now), last_created: None });
            tables.note("account add", &account.name, Some(account.id), now);
            tables.account(&account.id)
        })
    }

    async fn find_account(&self, id: &AccountId) -> Result<Option<Account>, StorageError> {
        Ok(self.step(|tables| tables.account(id).ok()))
    }

    async fn find_account_by_name(&self, name: &str) -> Result<Option<Account>, StorageError> {
        Ok(self.step(|tables| tables.account_named(name).and_then(|id| tables.account(&id).ok())))
    }

    async fn list_accounts(&self, after: Option<&str>, limit: u16) -> Result<Vec<Account>, StorageError> {
        self.step(|tables| {
            let by_name = tables.accounts.values().map(|row| (row.account.name.clone(), row.account.id));
            let by_name = by_name.collect::<std::collections::BTreeMap<_, _>>();
            let first = after.map_or(Bound::Unbounded, Bound::Excluded);
            let page = by_name.range::<str, _>((first, Bound::Unbounded)).take(usize::from(limit));
            page.map(|(_, id)| tables.account(id)).collect()
        })
    }

    async fn set_access(
        &self,
        id: &AccountId,
        access: Option<&Access>,
        limits: Option<&Limits>,
        now: Timestamp,
    ) -> Result<Account, StorageError> {
        self.step_for_workers(now, |tables| {
            let account = tables.account_mut(id)?;
            let withdrawn = if account.access.is_some() { Some(now) } else { account.access_withdrawn };
            account.access_withdrawn = if access.is_some() { None } else { withdrawn };
            account.access = access.cloned();
            account.limits = limits.copied().unwrap_or(account.limits);
            let (name, action) =
                (account.name.clone(), if access.is_some() { "access grant" } else { "access withdraw" });
            tables.note(action, &name, Some(*id), now);
            tables.account(id)
        })
    }

    async fn set_blocked(&self, id: &AccountId, reason: Option<&str>, now: Timestamp) -> Result<Account, StorageError> {
        self.step_for_workers(now, |tables| {
            let was_blocked = tables.is_blocked(id);
            tables.account_mut(id)?.blocked = reason.map(str::to_owned);
            match (was_blocked, reason) {
                (false, Some(_)) => {
                    for key in tables.wanted_alone(id) {
                        tables.root_mut(&key).record.end_lease();
                    }
                }
                (true, None) => {
                    for key in tables.wanted_alone(id) {
                        tables.root_mut(&key).record.resume(now);
                    }
                }
                (true, Some(_)) | (false, None) => {}
            }
            let account = tables.account(id)?;
            let action = if reason.is_some() { "account block" } else { "account unblock" };
            tables.note(action, &account.name, Some(*id), now);
            Ok(account)
        })
    }
}

fn fresh(account: &NewAccount, now: Timestamp) -> Account {
    Account {
        id: account.id,
        name: account.name.clone(),
        email: account.email.clone(),
        role: account.role,
        blocked: None,
        access: None,
        access_withdrawn: None,
        limits: account.limits,
        usage: Usage::default(),
        created: now,
    }
}

impl Tables {
    /// The account with what it uses now.
    pub fn account(&self, id: &AccountId) -> Result<Account, StorageError> {
        let row = self.accounts.get(id).ok_or_else(|| missing_account(id))?;
        Ok(Account { usage: self.usage(id), ..row.account.clone() })
    }

    pub fn is_blocked(&self, id: &AccountId) -> bool {
        self.accounts.get(id).is_some_and(|row| row.account.blocked.is_some())
    }

    fn account_mut(&mut self, id: &AccountId) -> Result<&mut Account, StorageError> {
        self.accounts.get_mut(id).map(|row| &mut row.account).ok_or_else(|| missing_account(id))
    }

    fn account_named(&self, name: &str) -> Option<AccountId> {
        self.accounts.values().find(|row| row.account.name == name).map(|row| row.account.id)
    }

    /// The unfinished roots that `account` wants, and no other account that is not blocked.
    fn wanted_alone(&self, account: &AccountId) -> Vec<RootKey> {
        let is_alone = |root: &RootRow| {
            let accounts = root.accounts();
            accounts.contains(account) && accounts.iter().all(|other| other == account || self.is_blocked(other))
        };
        let alone = self.roots.iter().filter(|(_, root)| root.record.is_unfinished() && is_alone(root));
        alone.map(|(key, _)| key.clone()).collect()
    }
}

pub fn missing_account(id: &AccountId) -> StorageError {
    StorageError::Missing(format!("account {id}"))
}
