//! Which leases are worked on now, how many more are held ready, and who gives a slot up.
//!
//! A step takes leases at most ten times a second, and a small root is done in a few milliseconds: slots that stayed
//! empty until the next step would hold a worker at four times its slots in a second. So it takes leases ahead of its
//! slots, as many as twice the roots that ended since the last time, and a slot that becomes free takes the next of them at
//! once. **Invariant:** slots are filled by the rule by which leases are taken: fewest running per account first, and
//! none has the last quarter. What found no slot within a second goes back to the queue with no attempt spent.
//!
//! A root of which nothing comes gives its slot up when another account with fewer running has one waiting, or its own
//! account has. It then waits for a peer that has it: what it dialled is still connected to and asked.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use pinrail_domain::AccountId;

use super::Worker;
use super::work::{Ending, Work};

/// The most leases that are held ready, in slots.
const MOST_AHEAD: usize = 4;

/// How long a lease may wait for a slot.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long nothing may come of a root before another account may have its slot, and one of its own account.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_millis(500);
const PATIENCE_WITH_OWN: Duration = Duration::from_secs(1);

/// How many roots each account has running.
type Running = HashMap<Option<AccountId>, usize>;

impl Worker {
    /// How many roots it may hold leases of now, ended ones aside: those that its slots take, those held ready, and those
    /// that may take the slots of roots of which nothing comes.
    pub(super) fn capacity(&self) -> usize {
        let fruitless = self.works.values().filter(|work| work.is_fruitless(PATIENCE_WITH_OTHERS)).count();
        self.slots() + (self.ended * 2).min(self.slots() * MOST_AHEAD) + fruitless
    }

    /// Whether there is a root of which nothing came yet.
    pub(super) fn has_fruitless(&self) -> bool {
        self.works.values().any(|work| work.is_fruitless(Duration::ZERO))
    }

    /// Begin what waits, as far as there are free slots or some that can be had.
    pub(super) fn fill_slots(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.waiting.retain(|root| self.works.get(root).is_some_and(Work::waits));
        let mut running = Running::new();
        for work in self.works.values().filter(|work| work.runs()) {
            *running.entry(work.lease.account).or_default() += 1;
        }
        let runs = |running: &Running, account| running.get(&account).copied().unwrap_or(0);
        loop {
            let account = |index: usize| self.works[&self.waiting[index]].lease.account;
            let next = (0..self.waiting.len()).min_by_key(|index| runs(&running, account(*index)));
            let Some((index, account)) = next.map(|index| (index, account(index))) else { return };
            let is_free = running.values().sum::<usize>() < self.slots();
            let may_begin = is_free && runs(&running, account) < self.slots() - self.slots() / 4;
            if !may_begin && !self.displace_for(account, &mut running) {
                return;
            }
            *running.entry(account).or_default() += 1;
            if let Some(work) = self.waiting.remove(index).and_then(|root| self.works.get_mut(&root)) {
                work.begin(&self.backend, &mut self.tasks);
            }
        }
    }

    /// Stop a root of which nothing comes, so that `account` may have its slot: one of the account that has most running,
    /// if that is more than `account` has, else one of its own. Of its own alone when it has as many as it may. Whether
    /// there was one.
    fn displace_for(&mut self, account: Option<AccountId>, running: &mut Running) -> bool {
        let runs = |account: Option<AccountId>| running.get(&account).copied().unwrap_or(0);
        let is_at_most = runs(account) >= self.slots() - self.slots() / 4;
        let may_go = |work: &&mut Work| {
            let is_own = work.lease.account == account;
            let has_more = !is_at_most && runs(work.lease.account) > runs(account);
            is_own && work.is_fruitless(PATIENCE_WITH_OWN) || has_more && work.is_fruitless(PATIENCE_WITH_OTHERS)
        };
        let first = |work: &&mut Work| (runs(work.lease.account), Reverse(work.moved()));
        let Some(work) = self.works.values_mut().filter(may_go).max_by_key(first) else { return false };
        work.stop(Ending::Displaced);
        *running.entry(work.lease.account).or_default() -= 1;
        true
    }

    /// Let go of leases that have waited for too long: others may have a slot for them.
    pub(super) fn give_back_late(&mut self) {
        self.give_back_waiting(|work| work.taken.elapsed() >= PATIENCE, &Ending::NotBegun);
    }

    /// Have those that wait and for which it holds settled as ended so.
    pub(super) fn give_back_waiting(&mut self, which: impl Fn(&Work) -> bool, ending: &Ending) {
        for root in &self.waiting {
            if let Some(work) = self.works.get_mut(root).filter(|work| work.waits() && which(work)) {
                work.stop(ending.clone());
            }
        }
        self.waiting.retain(|root| self.works.get(root).is_some_and(Work::waits));
    }
}
