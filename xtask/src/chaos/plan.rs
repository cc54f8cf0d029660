//! Which fault comes when: drawn from the seed, so the same seed means the same plan.
//!
//! What the processes do between two faults is up to the machine, so the same plan does not always
//! meet them at the same moment.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::material::PROVIDERS;

/// How many of each there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    pub apis: usize,
    pub workers: usize,
    /// Whether the database is a server that can be hurt.
    pub server: bool,
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Api(usize),
    Worker(usize),
    Database,
}

/// What is done to processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`, and started again after a while.
    Kill(Target, Duration),
    /// `kill -9` of every process at once. What they wrote is with the system: this is no power cut.
    KillAll(Duration),
    /// Stopped where it stands, and going on after a while.
    Pause(Target, Duration),
    /// Stopped, and going on an hour of clock later; the clock of the others moves too.
    Sleep(Target),
    /// The whole machine sleeps for an hour.
    SleepAll,
    /// Told to stop, and started again.
    Restart(Target),
}

/// A connection that leads through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// From the clients to an api.
    Clients(usize),
    /// From the workers to a provider.
    Provider(usize),
    /// From a process to the database's server.
    Database(Target),
}

/// What is done to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storm {
    Cut(Link, Duration),
    Slow(Link, Duration),
    /// The provider stands still with its connections open.
    Stall(usize, Duration),
}

/// The two plans of a run; the faults of one come beside those of the other.
#[derive(Debug)]
pub struct Plan {
    rng: StdRng,
    fleet: Fleet,
}

impl Plan {
    /// A plan for `fleet`; plans with another `part` of one seed differ.
    pub fn new(seed: u64, part: u64, fleet: Fleet) -> Self {
        Self { rng: StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(part)), fleet }
    }

    /// How long it is quiet before the next fault.
    pub fn rest(&mut self) -> Duration {
        self.millis(200, 3_500)
    }

    /// The next fault of processes.
    pub fn fault(&mut self) -> Fault {
        let target = self.target();
        match self.rng.random_range(0..100) {
            0..40 => Fault::Kill(target, self.millis(0, 2_000)),
            40..47 => Fault::KillAll(self.millis(0, 1_000)),
            47..72 => Fault::Pause(target, self.millis(300, 7_000)),
            72..80 => Fault::Sleep(target),
            80..84 => Fault::SleepAll,
            _ => Fault::Restart(target),
        }
    }

    /// The next fault of connections.
    pub fn storm(&mut self) -> Storm {
        let link = self.link();
        match self.rng.random_range(0..10) {
            0..4 => Storm::Cut(link, self.millis(0, 5_000)),
            4..8 => Storm::Slow(link, self.millis(500, 6_000)),
            _ => Storm::Stall(self.rng.random_range(0..PROVIDERS), self.millis(500, 8_000)),
        }
    }

    fn target(&mut self) -> Target {
        // The worker has most to lose.
        match self.rng.random_range(0..10) {
            0..2 if self.fleet.server => Target::Database,
            0..4 => Target::Api(self.rng.random_range(0..self.fleet.apis)),
            _ => Target::Worker(self.rng.random_range(0..self.fleet.workers)),
        }
    }

    fn link(&mut self) -> Link {
        match self.rng.random_range(0..10) {
            0..4 if self.fleet.server => Link::Database(match self.target() {
                Target::Database => Target::Worker(0),
                target => target,
            }),
            0..5 => Link::Clients(self.rng.random_range(0..self.fleet.apis)),
            _ => Link::Provider(self.rng.random_range(0..PROVIDERS)),
        }
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(from..to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: Fleet = Fleet { apis: 2, workers: 1, server: false };

    #[test]
    fn a_seed_draws_the_same_plan_every_time() {
        let draw = |seed| {
            let mut plan = Plan::new(seed, 0, FLEET);
            (0..50).map(|_| (plan.rest(), plan.fault(), plan.storm())).collect::<Vec<_>>()
        };
        assert_eq!(draw(4), draw(4));
        assert_ne!(draw(4), draw(5));
    }

    #[test]
    fn only_what_is_there_is_hurt() {
        let mut plan = Plan::new(1, 0, FLEET);
        for _ in 0..500 {
            let fault = plan.fault();
            assert!(!format!("{fault:?}").contains("Database"), "{fault:?}");
            if let Fault::Kill(Target::Worker(worker), _) = fault {
                assert_eq!(worker, 0);
            }
            if let Storm::Cut(Link::Clients(api), _) = plan.storm() {
                assert!(api < FLEET.apis);
            }
        }
    }
}
