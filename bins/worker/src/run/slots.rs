//! Which leases are worked on now, and how many more are held ready.
//!
//! A step takes leases at most ten times a second, and a small root is done in a few milliseconds: slots that stayed
//! empty until the next step would hold a worker at four times its slots in a second. So it takes leases ahead of its
//! slots, as many as twice the roots that ended since the last time, and a slot that becomes free takes the next of them at
//! once. **Invariant:** slots are filled by the rule by which leases are taken: fewest running per account first, and
//! none has the last quarter. What found no slot within a second goes back to the queue with no attempt spent.

use std::collections::HashMap;
use std::time::Duration;

use pinrail_domain::AccountId;

use super::Worker;
use super::work::{Ending, Work};

/// The most leases that are held ready, in slots.
const MOST_AHEAD: usize = 4;

/// How long a lease may wait for a slot.
const PATIENCE: Duration = Duration::from_secs(1);

impl Worker {
    /// How many roots it may hold leases of now, ended ones aside: those that its slots take and those held ready.
    pub(super) fn capacity(&self) -> usize {
        self.slots() + (self.ended * 2).min(self.slots() * MOST_AHEAD)
    }

    /// Begin what waits, as far as there are free slots.
    pub(super) fn fill_slots(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.waiting.retain(|root| self.works.get(root).is_some_and(Work::waits));
        let mut running: HashMap<Option<AccountId>, usize> = HashMap::new();
        for work in self.works.values().filter(|work| work.runs()) {
            *running.entry(work.lease.account).or_default() += 1;
        }
        let (slots, mut taken) = (self.slots(), running.values().sum::<usize>());
        while taken < slots {
            let account = |index: usize| self.works[&self.waiting[index]].lease.account;
            let of = |index: &usize| running.get(&account(*index)).copied().unwrap_or(0);
            let Some(next) = (0..self.waiting.len()).min_by_key(of).filter(|next| of(next) < slots - slots / 4) else {
                return;
            };
            *running.entry(account(next)).or_default() += 1;
            taken += 1;
            if let Some(work) = self.waiting.remove(next).and_then(|root| self.works.get_mut(&root)) {
                work.begin(&self.backend, &mut self.tasks);
            }
        }
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
