//! How long something took, and how long it may still take.

use std::time::{Duration, Instant};

/// Time since a moment; the one place of xtask that reads a clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "xtask measures and bounds what it runs")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    pub fn passed(self, bound: Duration) -> bool {
        self.elapsed() >= bound
    }
}
