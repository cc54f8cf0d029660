//! The clock, the dice and the signals of this machine, which everything else is handed.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the one place where this program asks the clock")]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A random number from 0 to 1.
#[expect(clippy::disallowed_methods, reason = "with `random` the one place where this program draws randomness")]
pub fn throw_die() -> f64 {
    rand::random()
}

/// Ten fresh random bytes, for an id.
#[expect(clippy::disallowed_methods, reason = "with `throw_die` the one place where this program draws randomness")]
pub fn random() -> [u8; 10] {
    rand::random()
}

/// Resolves when the process is told to stop, by Ctrl-C or SIGTERM.
pub fn told_to_stop() -> Result<impl Future<Output = ()> + Send> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be waited for")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be waited for")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
