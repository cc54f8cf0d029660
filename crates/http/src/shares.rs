//! Places by key: each account, token or network has as many as any other.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

/// Above so many keys those that hold nothing are forgotten.
const REMEMBERED: usize = 1_024;

/// A semaphore for each key, for as long as anything of it is held.
pub(crate) struct Shares<K> {
    for_each: usize,
    of: Mutex<HashMap<K, Weak<Semaphore>>>,
}

impl<K: Eq + Hash> Shares<K> {
    pub(crate) fn new(for_each: usize) -> Self {
        Self { for_each, of: Mutex::default() }
    }

    /// The share of one key.
    pub(crate) fn of(&self, key: K) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = of.get(&key).and_then(Weak::upgrade) {
            return share;
        }
        if of.len() >= REMEMBERED {
            of.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.for_each));
        of.insert(key, Arc::downgrade(&share));
        share
    }
}
