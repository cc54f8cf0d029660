//! Which fault comes when: drawn from the seed, so the same seed means the same plan.
//!
//! What the processes do between two faults is up to the machine, so the same plan does not always
//! meet them at the same moment.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::fixtures::PROVIDERS;

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

/// One of the two plans of a run: of what is done to processes, and beside it of what is done to connections. Each
/// begins with everything once, so that a short run has that too.
#[derive(Debug)]
pub struct Plan<T> {
    draws: Draws,
    opening: Vec<T>,
}

impl<T> Plan<T> {
    /// How long it is quiet before the next one; a shorter time in the opening.
    pub fn rest(&mut self) -> Duration {
        if self.opening.is_empty() { self.draws.millis(200, 3_500) } else { self.draws.millis(100, 800) }
    }
}

impl Plan<Fault> {
    /// A plan of what is done to the processes of `fleet`.
    pub fn for_processes(seed: u64, fleet: Fleet) -> Self {
        let mut draws = Draws::new(seed.wrapping_mul(31), fleet);
        Self { opening: draws.every_fault(), draws }
    }

    /// The next one.
    pub fn draw(&mut self) -> Fault {
        self.opening.pop().unwrap_or_else(|| self.draws.fault())
    }
}

impl Plan<Storm> {
    /// A plan of what is done to the connections of `fleet`.
    pub fn for_connections(seed: u64, fleet: Fleet) -> Self {
        let mut draws = Draws::new(seed.wrapping_mul(31).wrapping_add(1), fleet);
        Self { opening: draws.every_storm(), draws }
    }

    /// The next one.
    pub fn draw(&mut self) -> Storm {
        self.opening.pop().unwrap_or_else(|| self.draws.storm())
    }
}

/// The random draws of a plan.
#[derive(Debug)]
struct Draws {
    rng: StdRng,
    fleet: Fleet,
}

impl Draws {
    fn new(seed: u64, fleet: Fleet) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), fleet }
    }

    /// Each fault once for an api, a worker and the database, in any order.
    fn every_fault(&mut self) -> Vec<Fault> {
        let mut targets = vec![self.api(), self.worker()];
        targets.extend(self.fleet.server.then_some(Target::Database));
        let mut faults = vec![Fault::KillAll(self.millis(0, 1_000)), Fault::SleepAll];
        for target in targets {
            let (kill, pause) = (self.millis(0, 2_000), self.millis(300, 3_000));
            faults.extend([Fault::Kill(target, kill), Fault::Pause(target, pause)]);
            faults.extend([Fault::Sleep(target), Fault::Restart(target)]);
        }
        faults.shuffle(&mut self.rng);
        faults
    }

    /// Each storm once for each kind of connection, in any order.
    fn every_storm(&mut self) -> Vec<Storm> {
        let api = self.rng.random_range(0..self.fleet.apis);
        let mut links = vec![Link::Clients(api), Link::Provider(self.provider())];
        if self.fleet.server {
            links.extend([Link::Database(self.api()), Link::Database(self.worker())]);
        }
        let mut storms = vec![Storm::Stall(self.provider(), self.millis(500, 4_000))];
        for link in links {
            storms.push(Storm::Cut(link, self.millis(0, 3_000)));
            storms.push(Storm::Slow(link, self.millis(500, 3_000)));
        }
        storms.shuffle(&mut self.rng);
        storms
    }

    fn fault(&mut self) -> Fault {
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

    fn storm(&mut self) -> Storm {
        let link = self.link();
        match self.rng.random_range(0..10) {
            0..4 => Storm::Cut(link, self.millis(0, 5_000)),
            4..8 => Storm::Slow(link, self.millis(500, 6_000)),
            _ => Storm::Stall(self.provider(), self.millis(500, 8_000)),
        }
    }

    fn target(&mut self) -> Target {
        // The worker has most to lose.
        match self.rng.random_range(0..10) {
            0..2 if self.fleet.server => Target::Database,
            0..4 => self.api(),
            _ => self.worker(),
        }
    }

    fn link(&mut self) -> Link {
        match self.rng.random_range(0..10) {
            0..4 if self.fleet.server => Link::Database(match self.target() {
                Target::Database => Target::Worker(0),
                target => target,
            }),
            0..5 => Link::Clients(self.rng.random_range(0..self.fleet.apis)),
            _ => Link::Provider(self.provider()),
        }
    }

    fn api(&mut self) -> Target {
        Target::Api(self.rng.random_range(0..self.fleet.apis))
    }

    fn worker(&mut self) -> Target {
        Target::Worker(self.rng.random_range(0..self.fleet.workers))
    }

    fn provider(&mut self) -> usize {
        self.rng.random_range(0..PROVIDERS)
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(from..to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: Fleet = Fleet { apis: 2, workers: 1, server: false };

    const BOTH: Fleet = Fleet { apis: 2, workers: 2, server: true };

    #[test]
    fn a_seed_draws_the_same_plan_every_time() {
        let draw = |seed| {
            let mut plan = Plan::for_processes(seed, FLEET);
            (0..50).map(|_| (plan.rest(), plan.draw())).collect::<Vec<_>>()
        };
        assert_eq!(draw(4), draw(4));
        assert_ne!(draw(4), draw(5));
    }

    #[test]
    fn only_what_is_there_is_hurt() {
        let (mut processes, mut connections) = (Plan::for_processes(1, FLEET), Plan::for_connections(1, FLEET));
        for _ in 0..500 {
            let (fault, storm) = (processes.draw(), connections.draw());
            assert!(!format!("{fault:?} {storm:?}").contains("Database"), "{fault:?} {storm:?}");
            if let Fault::Kill(Target::Worker(worker), _) = fault {
                assert_eq!(worker, 0);
            }
            if let Storm::Cut(Link::Clients(api), _) = storm {
                assert!(api < FLEET.apis);
            }
        }
    }

    #[test]
    fn everything_comes_once_before_anything_comes_again() {
        let kind = |shown: &str| shown.split(", ").next().unwrap().replace(char::is_numeric, "");
        let distinct = |kinds: Vec<String>| kinds.into_iter().collect::<std::collections::BTreeSet<_>>().len();
        for (fleet, faults, storms) in [(FLEET, 2 + 4 * 2, 1 + 2 * 2), (BOTH, 2 + 4 * 3, 1 + 2 * 4)] {
            let mut plan = Plan::for_processes(1, fleet);
            assert_eq!(distinct((0..faults).map(|_| kind(&format!("{:?}", plan.draw()))).collect()), faults);
            let mut plan = Plan::for_connections(1, fleet);
            assert_eq!(distinct((0..storms).map(|_| kind(&format!("{:?}", plan.draw()))).collect()), storms);
        }
    }
}
