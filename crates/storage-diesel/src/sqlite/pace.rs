//! Time that goes on when the machine's clock was put back: from the greatest moment that was stored, at the real pace.
//!
//! How much time passes is read from the machine's clock too, but never more than [`STEP`] at once: a clock that is put
//! forward again, or a machine that boots with none and is told the time a minute later, is not ten years that passed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinrail_spec::Timestamp;

/// The most that the machine's clock may lag behind what is stored before time goes on without it: so long it is waited
/// for.
const LAG: Duration = Duration::from_secs(2);
/// The most time that passes between two looks at the clock. Programs look several times a second.
const STEP: Duration = Duration::from_secs(10);

/// The database's time in one process.
pub(crate) struct Pace {
    machine: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ahead: Mutex<Option<Ahead>>,
}

/// Where a database's time stands that is ahead of the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ahead {
    reached: Timestamp,
    /// What the machine's clock showed then.
    seen: Timestamp,
}

impl Pace {
    /// The time of a database on a machine with this clock.
    pub(super) const fn new(machine: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self { machine, ahead: Mutex::new(None) }
    }

    /// The least that the database's time is, of which `stored` is the greatest that was written.
    pub(super) fn time(&self, stored: Timestamp) -> Timestamp {
        let machine = (self.machine)();
        let mut ahead = self.lock();
        let before = *ahead;
        *ahead = go_on(before, stored, machine);
        let after = *ahead;
        drop(ahead);
        match (before, after) {
            (None, Some(_)) => tracing::warn!(
                "this machine's clock shows {machine}, but the database has reached {stored} and its time goes on from \
                there: `pinrail-api check` tells what to do"
            ),
            (Some(_), None) => tracing::info!("this machine's clock has caught up with the database's time"),
            _ => {}
        }
        after.map_or(stored, |ahead| ahead.reached)
    }

    /// The time that the database had at the last look, if it is ahead of the machine's.
    pub(super) fn reached(&self) -> Option<Timestamp> {
        self.lock().map(|ahead| ahead.reached)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn go_on(before: Option<Ahead>, stored: Timestamp, machine: Timestamp) -> Option<Ahead> {
    let Some(Ahead { reached, seen }) = before else {
        return (stored.since(machine) > LAG).then_some(Ahead { reached: stored, seen: machine });
    };
    let reached = (reached + machine.since(seen).min(STEP)).max(stored);
    (machine < reached).then_some(Ahead { reached, seen: machine })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_410_000_000);
    const YEARS: Duration = Duration::from_hours(10 * 365 * 24);
    const A_SECOND: Duration = Duration::from_secs(1);

    fn shows(ahead: Option<Ahead>) -> Option<Timestamp> {
        ahead.map(|ahead| ahead.reached)
    }

    #[test]
    fn a_clock_that_lags_a_little_is_waited_for() {
        assert_eq!(go_on(None, NOW + LAG, NOW), None);
        assert_eq!(go_on(None, NOW, NOW + YEARS), None);
    }

    #[test]
    fn time_goes_on_from_what_is_stored_at_the_pace_of_the_machine() {
        let begun = go_on(None, NOW + YEARS, NOW);
        assert_eq!(shows(begun), Some(NOW + YEARS));
        let later = go_on(begun, NOW + YEARS, NOW + A_SECOND);
        assert_eq!(shows(later), Some(NOW + YEARS + A_SECOND));
        assert_eq!(shows(go_on(later, NOW + YEARS + 5 * A_SECOND, NOW + A_SECOND)), Some(NOW + YEARS + 5 * A_SECOND));
        assert_eq!(shows(go_on(later, NOW + YEARS, NOW)), Some(NOW + YEARS + A_SECOND), "never back");
    }

    #[test]
    fn a_clock_that_is_put_forward_is_no_time_that_passed() {
        let boot = Timestamp::from_millis(0);
        let begun = go_on(None, NOW, boot);
        assert_eq!(shows(begun), Some(NOW));
        assert_eq!(go_on(begun, NOW, NOW + YEARS), None, "the machine's clock counts again");
        let minute_before = Timestamp::from_millis(NOW.as_millis() - 60_000);
        let half = go_on(begun, NOW, minute_before);
        assert_eq!(shows(half), Some(NOW + STEP));
    }
}
