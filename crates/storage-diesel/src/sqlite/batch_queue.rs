//! A queue whose reader takes all that waits at once, and lets what is about to come catch up.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What waits to be taken together.
///
/// Its reader sleeps until as much is there as it wants, so that it is woken once for a group and not for each item.
pub struct BatchQueue<T> {
    state: Mutex<State<T>>,
    enough: Condvar,
}

struct State<T> {
    waiting: Vec<T>,
    /// How many its reader sleeps for; `usize::MAX` while it does not sleep.
    wanted: usize,
    is_closed: bool,
}

impl<T> BatchQueue<T> {
    pub const fn new() -> Self {
        let state = State { waiting: Vec::new(), wanted: usize::MAX, is_closed: false };
        Self { state: Mutex::new(state), enough: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Have `item` taken with the next group; it comes back when the queue is closed.
    pub fn put(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(item);
        }
        state.waiting.push(item);
        let is_enough = state.waiting.len() >= state.wanted;
        drop(state);
        if is_enough {
            self.enough.notify_one();
        }
        Ok(())
    }

    /// Take no more items. What waits is still taken.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.enough.notify_one();
    }

    /// Take up to `most` of what waits, the longest first: at once when `expected` are there, when `patience` is over
    /// if there are fewer, and for the first item wait up to `idle` more. Empty when none came, `None` when none ever
    /// will.
    pub fn take(&self, expected: usize, patience: Duration, idle: Duration, most: usize) -> Option<Vec<T>> {
        let state = self.wait_for(self.lock(), expected, patience);
        let mut state = self.wait_for(state, 1, idle);
        state.wanted = usize::MAX;
        if state.waiting.is_empty() && state.is_closed {
            return None;
        }
        let taken = state.waiting.len().min(most);
        let rest = state.waiting.split_off(taken);
        Some(std::mem::replace(&mut state.waiting, rest))
    }

    fn wait_for<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        wanted: usize,
        at_most: Duration,
    ) -> MutexGuard<'a, State<T>> {
        state.wanted = wanted;
        let is_short = |state: &mut State<T>| state.waiting.len() < wanted && !state.is_closed;
        self.enough.wait_timeout_while(state, at_most, is_short).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn takes_what_waits_in_its_order() {
        let queue = BatchQueue::new();
        for number in 0..5 {
            queue.put(number).expect("it is open");
        }
        assert_eq!(queue.take(1, LONG, LONG, 3), Some(vec![0, 1, 2]));
        assert_eq!(queue.take(2, LONG, LONG, 3), Some(vec![3, 4]));
        assert_eq!(queue.take(2, Duration::ZERO, Duration::ZERO, 3), Some(vec![]));
    }

    #[test]
    fn waits_for_those_expected() {
        let queue = BatchQueue::new();
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| queue.take(3, LONG, LONG, 9));
            for number in 0..3 {
                queue.put(number).expect("it is open");
            }
            assert_eq!(taken.join().expect("it is taken"), Some(vec![0, 1, 2]));
        });
    }

    #[test]
    fn a_closed_one_is_emptied() {
        let queue = BatchQueue::new();
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| queue.take(2, LONG, LONG, 9));
            queue.put(1).expect("it is open");
            queue.close();
            assert_eq!(taken.join().expect("it is taken"), Some(vec![1]));
        });
        assert_eq!(queue.put(2), Err(2));
        assert_eq!(queue.take(1, LONG, LONG, 9), None);
    }
}
