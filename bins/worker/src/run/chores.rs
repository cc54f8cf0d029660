//! What is to be done beside the leases: statuses are carried on to further requests, and outlived holds end.

use std::time::Duration;

use futures::future::join_all;
use pinrail_spec::Timestamp;
use pinrail_storage::{RootQueue, StorageError};
use tokio::time::Instant;
use tracing::info;

/// How often outlived holds are looked for, and copies of statuses that another worker left behind.
const EVERY: Duration = Duration::from_secs(30);

/// The most batches of status copies in one step, so that a root with many requests does not hold up the others.
const COPIES_AT_ONCE: usize = 8;

/// What is to be done.
#[derive(Debug, Default)]
pub struct Chores {
    /// When holds were looked for last.
    looked: Option<Instant>,
    /// Batches of copies in the next step.
    copies: usize,
}

/// What is to be done in one step.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    holds: bool,
    copies: usize,
}

impl Chores {
    /// A root's state changed, so its requests may have to be told.
    pub fn expect_copies(&mut self) {
        self.copies = self.copies.max(1);
    }

    /// What is to be done now.
    pub fn due(&self) -> Due {
        let holds = self.looked.is_none_or(|looked| looked.elapsed() >= EVERY);
        Due { holds, copies: self.copies.max(usize::from(holds)) }
    }

    /// Note that it was done; more batches are copied at once for as long as there are more.
    pub fn note(&mut self, due: Due, copies_left: bool) {
        if due.holds {
            self.looked = Some(Instant::now());
        }
        if due.copies > 0 {
            self.copies = if copies_left { COPIES_AT_ONCE } else { 0 };
        }
    }
}

/// Do what is due; whether there are more statuses to copy.
pub async fn do_chores(storage: &dyn RootQueue, due: Due, now: Timestamp) -> Result<bool, StorageError> {
    let copy = |_| storage.copy_statuses();
    let expire = async { if due.holds { storage.expire_holds(now).await } else { Ok(0) } };
    let (copied, ended) = tokio::join!(join_all((0..due.copies).map(copy)), expire);
    if ended? > 0 {
        info!("holds of replaced requests outlived their time");
    }
    let mut copies_left = false;
    for more in copied {
        copies_left |= more?;
    }
    Ok(copies_left)
}
