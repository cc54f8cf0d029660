//! How many look-ups the node may have: a few at once, a few a second, for each opens dozens of connections.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::bitswap::lock;

/// Look-ups at once.
const AT_ONCE: usize = 8;
/// Of these, those that only look-ups of running fetches may use.
const KEPT_FOR_FETCHES: usize = 2;
/// Look-ups of running fetches that wait for their turn.
const MAX_WAITING: usize = 64;
/// A look-up may begin this often,
const INTERVAL: Duration = Duration::from_millis(250);
/// and so many at once after a pause.
const BURST: u32 = 16;

/// The look-ups that may begin now.
#[derive(Debug)]
pub struct Budget {
    slots: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    rate: Mutex<Rate>,
}

/// A look-up that may begin; it counts until this is dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

/// A look-up that waits for its turn.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Budget {
    /// A budget of which nothing is used.
    pub fn new(now: Instant) -> Self {
        let (slots, waiting) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(MAX_WAITING)));
        Self { slots, waiting, rate: Mutex::new(Rate { full: now }) }
    }

    /// A place among those that wait; none if too many do.
    pub fn queue(&self) -> Option<Turn> {
        self.waiting.clone().try_acquire_owned().ok().map(Turn)
    }

    /// Waits until it is this look-up's turn.
    pub async fn wait(&self, turn: Turn) -> Option<Permit> {
        // The semaphore is never closed.
        let slot = self.slots.clone().acquire_owned().await.ok()?;
        loop {
            let taken = lock(&self.rate).take(Instant::now());
            match taken {
                Ok(()) => break,
                Err(at) => tokio::time::sleep_until(at).await,
            }
        }
        drop(turn);
        Some(Permit(slot))
    }

    /// What running fetches leave at `now` to a look-up that can wait.
    pub fn spare(&self, now: Instant) -> Option<Permit> {
        if self.waiting.available_permits() < MAX_WAITING || self.slots.available_permits() <= KEPT_FOR_FETCHES {
            return None;
        }
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        lock(&self.rate).take(now).ok().map(|()| Permit(slot))
    }
}

/// A bucket of tokens, known by when it is full again.
#[derive(Debug)]
struct Rate {
    full: Instant,
}

impl Rate {
    /// Takes a token at `now`, or says when there is one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full = self.full.max(now) + INTERVAL;
        let first = full.checked_sub(INTERVAL * BURST).filter(|first| *first > now);
        if let Some(first) = first {
            return Err(first);
        }
        self.full = full;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_is_followed_by_a_steady_rate() {
        let start = Instant::now();
        let mut rate = Rate { full: start };
        assert_eq!((0..100).filter(|_| rate.take(start).is_ok()).count(), 16);
        assert_eq!(rate.take(start), Err(start + INTERVAL));
        let taken = (1..=100).filter(|quarter| rate.take(start + INTERVAL * *quarter / 4).is_ok()).count();
        assert_eq!(taken, 25);
        assert_eq!((0..100).filter(|_| rate.take(start + INTERVAL * 1_000).is_ok()).count(), 16);
    }

    #[tokio::test]
    async fn what_can_wait_leaves_room_for_fetches() {
        let budget = Budget::new(Instant::now());
        let spare = std::iter::from_fn(|| budget.spare(Instant::now())).collect::<Vec<_>>();
        assert_eq!(spare.len(), AT_ONCE - KEPT_FOR_FETCHES);
        let fetches = [budget.queue().expect("a place"), budget.queue().expect("a place")];
        let mut running = Vec::new();
        for turn in fetches {
            running.push(budget.wait(turn).await);
        }
        drop(spare);
        let turn = budget.queue().expect("a place");
        assert!(budget.spare(Instant::now()).is_none(), "a fetch waits");
        drop(turn);
        assert!(budget.spare(Instant::now()).is_some());
        let turns = std::iter::from_fn(|| budget.queue()).collect::<Vec<_>>().len();
        assert_eq!(turns, MAX_WAITING);
    }
}
