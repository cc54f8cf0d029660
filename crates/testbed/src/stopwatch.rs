//! A stopwatch: the time since a moment, and whether a bound has passed.

use std::time::{Duration, Instant};

/// Time since a moment; the one place of development that reads a clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "development measures and bounds what it runs")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since then.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Returns whether so much time has passed.
    pub fn passed(self, bound: Duration) -> bool {
        self.elapsed() >= bound
    }
}
