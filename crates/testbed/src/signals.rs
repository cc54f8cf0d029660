//! Ctrl-C and SIGTERM: noted here, obeyed by everything that waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static STOPPING: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Notes the signals from now on. A second one changes nothing: stopping is bounded, and leaving at
/// once would leave the children behind.
pub fn listen() -> Result<()> {
    let flag = STOPPING.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .with_context(|| format!("signal {signal} cannot be listened for"))?;
    }
    Ok(())
}

/// Returns whether somebody asked us to stop.
pub fn stopping() -> bool {
    STOPPING.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Returns an error once somebody asked us to stop, for loops that wait.
pub fn check() -> Result<()> {
    if stopping() {
        bail!("stopped before the end");
    }
    Ok(())
}
