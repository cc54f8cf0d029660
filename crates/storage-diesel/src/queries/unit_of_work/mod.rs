//! The roots that a transaction has locked, and what it changes of them with all that follows: usage of accounts, loads
//! of nodes, places in queues, copies of states. A step locks what it needs, changes it in memory by the rules of
//! `domain`, and [`UnitOfWork::flush`] writes everything once, in the order of the keys.

mod flush;
mod lock;

use std::collections::{BTreeMap, HashMap};

use pinrail_domain::{Claims, DagSize, Progress, RootRecord, Settled, Unwanted, Verdict, Wanted};
use pinrail_spec::Timestamp;

pub(crate) use flush::place;
pub(crate) use flush::{Place, StatusCopy};
pub(crate) use lock::RootsToLock;

use super::counter_deltas::CounterDeltas;
use crate::convert::to_column;
use crate::error::{TxError, TxResult};
use crate::rows::{HoldRow, HolderRow, MetaRow, PinRequestRow, Root, RootName};

/// What a transaction has locked, and what it will write.
#[derive(Default)]
pub(crate) struct UnitOfWork {
    roots: BTreeMap<i64, LockedRoot>,
    keys: HashMap<RootName, i64>,
    /// What accounts have on roots, by root and account: all that the transaction may change.
    claims: BTreeMap<(i64, i64), ClaimChange>,
    /// Holds that wait for one of the roots or that a request owns which goes, in the order of (root, owner).
    holds: Vec<HoldRow>,
    pub(crate) deltas: CounterDeltas,
    rows: OtherRows,
}

/// Rows that are written as they are.
#[derive(Default)]
struct OtherRows {
    requests: Vec<PinRequestRow>,
    meta: Vec<MetaRow>,
    removed_request: Option<PinRequestRow>,
    holders: Vec<HolderRow>,
    new_holds: Vec<HoldRow>,
    ended_holds: Vec<(Vec<u8>, i64)>,
    /// Roots whose holds, those that wait for them, end at a time or as long as they wait.
    holds_end: Vec<(i64, Option<i64>)>,
}

/// A root whose row is locked, or that is new.
struct LockedRoot {
    root: Root,
    /// What a fetch has received of it.
    received: Progress,
    /// How it was when it was locked, and what was received of it then; `None` for a new one.
    before: Option<(Root, Progress)>,
    /// Whether its row goes.
    is_gone: bool,
}

#[derive(Default)]
struct ClaimChange {
    before: Claims,
    after: Claims,
}

/// What a root counts for in each account that has a claim on it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counted {
    is_unfinished: bool,
    bytes: i64,
}

impl Counted {
    const NOTHING: Self = Self { is_unfinished: false, bytes: 0 };

    fn of(record: &RootRecord, received: Progress) -> Self {
        Self { is_unfinished: record.is_unfinished(), bytes: to_column(record.counted_bytes(received)) }
    }

    /// Queued roots and bytes of an account with these claims.
    fn usage(self, claims: Claims) -> (i64, i64) {
        let has_any = claims.requests + claims.holds > 0;
        (i64::from(claims.requests > 0 && self.is_unfinished), if has_any { self.bytes } else { 0 })
    }
}

impl LockedRoot {
    fn counted(&self) -> Counted {
        if self.is_gone { Counted::NOTHING } else { Counted::of(&self.root.record, self.received) }
    }

    fn load(&self) -> (i64, i64) {
        (self.root.node, i64::from(self.root.record.is_unfinished() && !self.is_gone))
    }
}

impl UnitOfWork {
    /// The key of a locked root.
    pub(crate) fn key_of(&self, name: &RootName) -> Option<i64> {
        self.keys.get(name).copied()
    }

    /// Whether a root is locked.
    pub(crate) fn has(&self, key: i64) -> bool {
        self.roots.contains_key(&key)
    }

    /// The keys of all locked roots.
    pub(crate) fn locked(&self) -> Vec<i64> {
        self.roots.keys().copied().collect()
    }

    /// A locked root.
    pub(crate) fn root(&self, key: i64) -> TxResult<&Root> {
        self.roots.get(&key).map(|locked| &locked.root).ok_or_else(|| not_locked(key))
    }

    /// What was received of a locked root.
    pub(crate) fn received(&self, key: i64) -> Progress {
        self.roots.get(&key).map_or_else(Progress::default, |locked| locked.received)
    }

    /// What an account has on a root.
    pub(crate) fn claims_of(&self, key: i64, account: i64) -> Claims {
        self.claims.get(&(key, account)).map_or_else(Claims::default, |change| change.after)
    }

    /// Change how a root stands, its node, or who it is leased for.
    pub(crate) fn change<T>(&mut self, key: i64, change: impl FnOnce(&mut Root) -> T) -> TxResult<T> {
        self.change_locked(key, |locked| change(&mut locked.root))
    }

    fn change_locked<T>(&mut self, key: i64, change: impl FnOnce(&mut LockedRoot) -> T) -> TxResult<T> {
        let locked = self.roots.get_mut(&key).ok_or_else(|| not_locked(key))?;
        let (counted, load) = (locked.counted(), locked.load());
        let outcome = change(locked);
        let (counts, loads) = (locked.counted(), locked.load());
        if counts != counted {
            for ((_, account), claims) in self.claims.range((key, i64::MIN)..=(key, i64::MAX)) {
                self.deltas.usage(*account, counted.usage(claims.after), counts.usage(claims.after));
            }
        }
        if loads != load {
            self.deltas.load(load.0, -load.1);
            self.deltas.load(loads.0, loads.1);
        }
        Ok(outcome)
    }

    /// Change what an account has on a root.
    fn change_claims(&mut self, key: i64, account: i64, change: impl FnOnce(&mut Claims)) -> TxResult<()> {
        let counted = self.roots.get(&key).ok_or_else(|| not_locked(key))?.counted();
        let claims = &mut self.claims.entry((key, account)).or_default().after;
        let before = *claims;
        change(claims);
        self.deltas.usage(account, counted.usage(before), counted.usage(*claims));
        Ok(())
    }

    /// Add a root that no row exists of, under the key that was taken for it.
    pub(crate) fn add_root(&mut self, root: Root) {
        self.deltas.load(root.node, i64::from(root.record.is_unfinished()));
        self.keys.insert(root.name.clone(), root.key);
        let received = Progress::default();
        let locked = LockedRoot { root, received, before: None, is_gone: false };
        self.roots.insert(locked.root.key, locked);
    }

    /// Add a pin request of an account for a root that has counted it.
    pub(crate) fn add_request(&mut self, row: PinRequestRow, meta: &BTreeMap<String, String>) -> TxResult<()> {
        self.change_claims(row.root, row.account, |claims| claims.requests += 1)?;
        self.deltas.requests(row.account, 1);
        self.deltas.bytes(row.account, row.carried_bytes());
        self.deltas.count((row.account, row.ordinal, row.created), row.status.0, 1);
        self.rows.meta.extend(row.meta_rows(meta));
        self.rows.requests.push(row);
        Ok(())
    }

    /// Remove a pin request whose root has lost it.
    pub(crate) fn remove_request(&mut self, row: PinRequestRow) {
        self.deltas.requests(row.account, -1);
        self.deltas.bytes(row.account, -row.carried_bytes());
        self.rows.removed_request = Some(row);
    }

    /// Want a root once more; `inline` is its size if its CID holds all of it.
    pub(crate) fn want(&mut self, key: i64, inline: Option<DagSize>, now: Timestamp) -> TxResult<()> {
        match self.change(key, |root| root.record.want(inline, now))? {
            Wanted::Pinned | Wanted::Again => {}
            Wanted::Afresh => self.begin_afresh(key)?,
            Wanted::Inline => {
                self.set_received(key, Progress::default())?;
                self.end_holds_awaiting(key, now)?;
            }
        }
        Ok(())
    }

    /// Want a root afresh, whoever wants it already.
    pub(crate) fn want_afresh(&mut self, key: i64, now: Timestamp) -> TxResult<()> {
        self.change(key, |root| root.record.want_afresh(now))?;
        self.begin_afresh(key)
    }

    /// Forget what was received; holds that were to end after the root's failure are to end no more.
    fn begin_afresh(&mut self, key: i64) -> TxResult<()> {
        self.rows.holds_end.push((key, None));
        self.set_received(key, Progress::default())
    }

    /// Note what was received of a root.
    pub(crate) fn set_received(&mut self, key: i64, received: Progress) -> TxResult<()> {
        self.change_locked(key, |locked| locked.received = received)
    }

    /// Take one pin request of an account off its root, which `hold` keeps if there is one.
    pub(crate) fn lose_request(
        &mut self,
        (key, account): (i64, i64),
        hold: Option<HoldRow>,
        now: Timestamp,
    ) -> TxResult<()> {
        let is_held = hold.is_some();
        self.change_claims(key, account, |claims| {
            claims.requests = claims.requests.saturating_sub(1);
            claims.holds += u64::from(is_held);
        })?;
        self.rows.new_holds.extend(hold);
        let unwanted = self.change(key, |root| root.record.lose_request(is_held, now))?;
        self.after_loss(key, unwanted)
    }

    fn after_loss(&mut self, key: i64, unwanted: Unwanted) -> TxResult<()> {
        match unwanted {
            Unwanted::Kept | Unwanted::Idle => Ok(()),
            Unwanted::Releasing => self.set_received(key, Progress::default()),
        }
    }

    /// End the holds that wait for a root, because it is pinned.
    fn end_holds_awaiting(&mut self, key: i64, now: Timestamp) -> TxResult<()> {
        let ended = self.take_holds(|hold| hold.awaited == key);
        self.end_holds(ended, now)
    }

    /// End the holds of a request that goes.
    pub(crate) fn end_holds_of(&mut self, owner: &[u8], now: Timestamp) -> TxResult<()> {
        let ended = self.take_holds(|hold| hold.owner == owner);
        self.end_holds(ended, now)
    }

    fn take_holds(&mut self, wanted: impl Fn(&HoldRow) -> bool) -> Vec<HoldRow> {
        let (taken, left) = std::mem::take(&mut self.holds).into_iter().partition(wanted);
        self.holds = left;
        taken
    }

    /// End these holds, whose roots are locked.
    pub(crate) fn end_holds(&mut self, holds: Vec<HoldRow>, now: Timestamp) -> TxResult<()> {
        for hold in holds {
            self.change_claims(hold.root, hold.account, |claims| claims.holds = claims.holds.saturating_sub(1))?;
            let unwanted = self.change(hold.root, |root| root.record.lose_hold(now))?;
            self.after_loss(hold.root, unwanted)?;
            self.rows.ended_holds.push((hold.owner, hold.root));
        }
        Ok(())
    }

    /// Have the holds of one request wait for the root of the request that replaced it.
    pub(crate) fn inherit_holds(&mut self, owner: &[u8], new_owner: &[u8], awaited: i64) {
        for hold in self.take_holds(|hold| hold.owner == owner) {
            self.rows.ended_holds.push((hold.owner.clone(), hold.root));
            self.rows.new_holds.push(HoldRow { owner: new_owner.to_vec(), awaited, ends: None, ..hold });
        }
    }

    /// Whether a hold of `owner` on a root is among those that are to be added.
    pub(crate) fn will_hold(&self, owner: &[u8], root: i64) -> bool {
        self.rows.new_holds.iter().any(|hold| hold.owner == owner && hold.root == root)
    }

    /// Settle the lease of a root by its verdict.
    pub(crate) fn settle(&mut self, key: i64, verdict: &Verdict, now: Timestamp) -> TxResult<Settled> {
        let settled = self.change(key, |root| root.record.settle(verdict, now))?;
        let settled = settled.map_err(|_| pinrail_storage::StorageError::LeaseLost)?;
        match settled {
            Settled::Pinned => {
                self.set_received(key, Progress::default())?;
                self.end_holds_awaiting(key, now)?;
            }
            Settled::Failed { holds_end } => self.rows.holds_end.push((key, Some(holds_end.as_millis()))),
            Settled::PutOff | Settled::Released => {}
        }
        Ok(settled)
    }

    /// Note that a node may have a copy of a root.
    pub(crate) fn add_holder(&mut self, root: i64, node: i64) {
        self.rows.holders.push(HolderRow { root, node });
    }

    /// Remove the row of a root that no node holds any more.
    pub(crate) fn remove_root(&mut self, key: i64) -> TxResult<()> {
        let Root { name, record, .. } = self.root(key)?;
        let (name, epoch) = (name.clone(), record.epoch);
        self.deltas.released(to_column(epoch));
        self.keys.remove(&name);
        self.change_locked(key, |locked| locked.is_gone = true)
    }
}

fn not_locked(key: i64) -> TxError {
    TxError::corrupt(format!("the root {key} is gone, which others refer to"))
}
