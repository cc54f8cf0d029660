//! What an account uses, counted from the rows, and whether one more request fits.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::{AccountId, Limits, RootState, Usage, carried_bytes};
use pinrail_spec::{Pin, RootKey, Timestamp};
use pinrail_storage::StorageError;

use super::accounts::missing_account;
use super::roots::whole_size;
use super::tables::{RequestKey, RequestRow, RootRow, Tables};

/// What of an account stands on one root.
#[derive(Clone, Copy, Default)]
struct Stake {
    requests: u64,
    holds: bool,
}

impl Tables {
    /// What the account uses.
    pub fn usage(&self, account: &AccountId) -> Usage {
        self.usage_of(&self.stakes(account, None), self.carried_bytes(account, None))
    }

    /// The requests of an account, the oldest first.
    pub fn requests_of(&self, account: &AccountId) -> impl DoubleEndedIterator<Item = (&RequestKey, &RequestRow)> {
        let all = Timestamp::from_millis(i64::MIN)..=Timestamp::from_millis(i64::MAX);
        self.requests.range((*account, *all.start())..=(*account, *all.end()))
    }

    /// Check that a request for `pin` fits that replaces `old`, if it replaces one.
    pub fn admit(&self, account: &AccountId, pin: &Pin, old: Option<&RequestKey>) -> Result<(), StorageError> {
        let limits = self.accounts.get(account).ok_or_else(|| missing_account(account))?.account.limits;
        let before = self.stakes(account, None);
        let stakes = self.stakes(account, old);
        let usage = self.usage_of(&stakes, self.carried_bytes(account, old));
        let (cid, carried) = (&pin.cid, carried_bytes(pin));
        let key = cid.root();

        Limits::admit_same_root(stakes.get(&key).map_or(0, |stake| stake.requests))?;
        let known = before.get(&key).copied().unwrap_or_default();
        let is_pinned = self.roots.get(&key).is_some_and(|root| root.state == RootState::Pinned);
        if is_pinned || cid.is_whole() {
            limits.admit(&usage, false)?;
            let is_new = known.requests == 0 && !known.holds;
            let size = self.roots.get(&key).and_then(|root| root.size).unwrap_or_else(|| whole_size(cid));
            return Ok(limits.admit_bytes(&usage, carried + if is_new { size.counted_bytes() } else { 0 })?);
        }
        let is_waited_for = known.requests > 0 && self.roots.get(&key).is_some_and(RootRow::is_unfinished);
        limits.admit(&usage, !is_waited_for)?;
        Ok(limits.admit_bytes(&usage, carried)?)
    }

    /// On which roots the account has requests or holds, as if `old` had been replaced by nothing.
    fn stakes(&self, account: &AccountId, old: Option<&RequestKey>) -> BTreeMap<&RootKey, Stake> {
        let mut stakes = BTreeMap::<&RootKey, Stake>::new();
        for (key, row) in self.requests_of(account) {
            let is_old = Some(key) == old;
            let stake = stakes.entry(&row.root).or_default();
            stake.requests += u64::from(!is_old);
            stake.holds |= is_old;
            for held in &row.holds {
                stakes.entry(held).or_default().holds = true;
            }
        }
        stakes
    }

    /// What the account's requests carry, without `old`.
    fn carried_bytes(&self, account: &AccountId, old: Option<&RequestKey>) -> u64 {
        let requests = self.requests_of(account).filter(|(key, _)| Some(*key) != old);
        requests.map(|(_, row)| carried_bytes(&row.pin)).sum()
    }

    fn usage_of(&self, stakes: &BTreeMap<&RootKey, Stake>, carried: u64) -> Usage {
        let mut usage = Usage { bytes: carried, ..Usage::default() };
        for (key, stake) in stakes {
            let root = &self.roots[*key];
            usage.requests += stake.requests;
            usage.queued_roots += u64::from(stake.requests > 0 && root.is_unfinished());
            usage.bytes += root.counted_bytes();
        }
        usage
    }

    /// Whether of the accounts that want the root and are not blocked every one is over its bytes.
    pub fn is_over_quota(&self, accounts: &[AccountId]) -> bool {
        let open = accounts.iter().filter(|account| !self.is_blocked(account)).collect::<BTreeSet<_>>();
        let is_over = |account: &AccountId| {
            self.accounts.get(account).is_some_and(|row| row.account.limits.bytes_spent(&self.usage(account)))
        };
        !open.is_empty() && open.into_iter().all(is_over)
    }
}
