//! Locking that does not fail.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lock, also after another holder panicked: what is kept under these locks is never left half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
