//! Room for what accounts ask of a database at the same time, with a share for each: no account ever takes all of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pinrail_domain::AccountId;
use pinrail_storage::{ListUse, StorageError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long one that asks waits for room.
const WAIT: Duration = Duration::from_secs(10);
/// How long a list that may walk over an account may be read.
pub(crate) const LONGEST_LIST: Duration = Duration::from_secs(10);
/// Above so many accounts those that ask for nothing are forgotten.
const REMEMBERED: usize = 1_024;

/// Places for what accounts ask.
pub(crate) struct Room {
    /// What is asked, as those who wait too long are told it.
    what: &'static str,
    size: usize,
    for_each: usize,
    places: Arc<Semaphore>,
    /// The share of each account that asks for something.
    shares: Mutex<HashMap<AccountId, Weak<Semaphore>>>,
    waiting: AtomicUsize,
}

/// A place, given back when it is dropped.
pub(crate) struct Permit {
    _place: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
}

/// Counts one that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Room {
    /// Room for so many lists, half of them for one account.
    pub(crate) fn for_lists(size: usize) -> Self {
        Self::new("lists", size, size.div_ceil(2))
    }

    /// Room for so many, `for_each` of them for one account.
    pub(crate) fn new(what: &'static str, size: usize, for_each: usize) -> Self {
        let size = size.max(1);
        Self {
            what,
            size,
            for_each: for_each.max(1),
            places: Arc::new(Semaphore::new(size)),
            shares: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Wait for a place. An account waits for its share first, so that it does not keep others waiting behind it.
    pub(crate) async fn enter(&self, account: AccountId) -> Result<Permit, StorageError> {
        let _waiting = Waiting::count(&self.waiting);
        let entered = timeout(WAIT, async {
            let share = self.share(account).acquire_owned().await.ok()?;
            let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
            Some(Permit { _place: place, _share: share })
        });
        entered.await.ok().flatten().ok_or_else(|| {
            let (what, seconds) = (self.what, WAIT.as_secs());
            StorageError::Busy(format!("other {what} were not done within {seconds} s, ask for fewer at once"))
        })
    }

    /// How much is in use.
    pub(crate) fn in_use(&self) -> ListUse {
        let free = self.places.available_permits();
        ListUse {
            places: self.size,
            in_use: self.size.saturating_sub(free),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    fn share(&self, account: AccountId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&account).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= REMEMBERED {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.for_each));
        shares.insert(account, Arc::downgrade(&share));
        share
    }
}

/// What is said of a list that is not read in time.
pub(crate) fn too_long() -> StorageError {
    let seconds = LONGEST_LIST.as_secs();
    StorageError::Busy(format!(
        "the list was not read within {seconds} s, ask for less: fewer pairs of meta, a whole name"
    ))
}

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use pinrail_spec::Timestamp;

    use super::*;

    fn account(number: u8) -> AccountId {
        AccountId::new(Timestamp::from_millis(0), [number; 10])
    }

    #[tokio::test]
    async fn an_account_that_takes_its_share_leaves_room_for_others() {
        let room = Room::for_lists(4);
        let held = [room.enter(account(1)).await, room.enter(account(1)).await];
        assert!(held.iter().all(Result::is_ok));
        let mut third = Box::pin(room.enter(account(1)));
        assert!(third.as_mut().now_or_never().is_none(), "its share is taken");
        assert_eq!(room.in_use(), ListUse { places: 4, in_use: 2, waiting: 1 });
        let others = [room.enter(account(2)).now_or_never(), room.enter(account(3)).now_or_never()];
        assert!(others.iter().all(|other| matches!(other, Some(Ok(_)))), "others do not wait behind it");
        drop((held, others));
        assert!(third.await.is_ok());
        assert_eq!(room.in_use(), ListUse { places: 4, in_use: 0, waiting: 0 });
    }
}
