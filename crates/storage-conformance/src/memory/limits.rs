//! Limits in memory: what an account uses, counted from the rows, and whether one more request fits.

use pinrail_domain::{AccountId, Admission, Claims, Usage, carried_bytes};
use pinrail_spec::{Pin, Timestamp};
use pinrail_storage::StorageError;

use super::accounts::missing_account;
use super::tables::{RequestKey, RequestRow, RootRow, Tables};

impl Tables {
    /// What the account uses.
    pub fn usage(&self, account: &AccountId) -> Usage {
        let carried = self.requests_of(account).map(|(_, row)| carried_bytes(&row.pin)).sum();
        let mut usage = Usage { bytes: carried, ..Usage::default() };
        for root in self.roots.values() {
            let claims = self.claims(account, root);
            usage.requests += claims.requests;
            usage.queued_roots += u64::from(claims.requests > 0 && root.record.is_unfinished());
            usage.bytes += if claims == Claims::default() { 0 } else { root.record.counted_bytes(root.received) };
        }
        usage
    }

    /// The requests of an account, the oldest first.
    pub fn requests_of(&self, account: &AccountId) -> impl DoubleEndedIterator<Item = (&RequestKey, &RequestRow)> {
        self.requests.range(all_of(account))
    }

    /// Check that a request for `pin` fits that replaces `old`, if it replaces one.
    pub fn admit(&self, account: &AccountId, pin: &Pin, old: Option<&RequestKey>) -> Result<(), StorageError> {
        let limits = self.accounts.get(account).ok_or_else(|| missing_account(account))?.account.limits;
        let (key, mut usage) = (pin.cid.root(), self.usage(account));
        let old = old.map(|old| &self.requests[old]);
        if let Some(old) = old {
            let root = &self.roots[&old.root];
            let unqueues = root.record.is_unfinished() && self.claims(account, root).requests == 1;
            usage = usage.without_request(carried_bytes(&old.pin), unqueues);
        }
        let root = self.roots.get(&key);
        let asked = Admission {
            pin,
            usage,
            root: root.map(|root| &root.record),
            claims: root.map_or_else(Claims::default, |root| self.claims(account, root)),
            replaces_same_root: old.is_some_and(|old| old.root == key),
        };
        Ok(limits.admit_pin(&asked)?)
    }

    /// What the account has on a root.
    fn claims(&self, account: &AccountId, root: &RootRow) -> Claims {
        let holds = root.holds.keys().filter(|owner| self.request_ids[*owner].0 == *account);
        Claims { requests: root.requests.range(all_of(account)).count() as u64, holds: holds.count() as u64 }
    }

    /// Whether of the accounts that want the root and are not blocked every one is over its bytes.
    pub fn is_over_quota(&self, root: &RootRow) -> bool {
        let mut open = root.accounts().into_iter().filter(|account| !self.is_blocked(account)).peekable();
        let is_over = |account: AccountId| self.accounts[&account].account.limits.bytes_spent(&self.usage(&account));
        open.peek().is_some() && open.all(is_over)
    }
}

/// The keys of an account's requests.
fn all_of(account: &AccountId) -> std::ops::RangeInclusive<RequestKey> {
    (*account, Timestamp::from_millis(i64::MIN))..=(*account, Timestamp::from_millis(i64::MAX))
}
