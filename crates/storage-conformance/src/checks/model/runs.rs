//! How many histories are run, from which seed, and what is told of one that fails.

use std::cell::Cell;
use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tokio::runtime::Runtime;

use crate::samples::PEER;

/// How many operations are run at least, over all histories of a check, unless `PINRAIL_MODEL_OPERATIONS` says.
pub const OPERATIONS: u64 = 10_000;
/// Histories that run at once, each on a storage of its own.
const LANES: usize = 3;
/// The stack of a lane in bytes: what draws a history nests deeply, and so does the search for an order.
const STACK: usize = 64 << 20;
/// For how many milliseconds a history that fails is made smaller.
const SHRINK_FOR: u32 = 60_000;

/// How much is run, and from where on.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Operations, at least.
    pub operations: u64,
    /// The seed of the first history; the next one has the next number.
    pub seed: u64,
}

impl Extent {
    /// What `PINRAIL_MODEL_OPERATIONS` and `PINRAIL_MODEL_SEED` say, 10,000 operations from seed 0 without them.
    pub fn asked() -> Self {
        let number = |name: &str, otherwise: u64| match variable(name) {
            Some(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, wanted a number")),
            None => otherwise,
        };
        Self { operations: number("PINRAIL_MODEL_OPERATIONS", OPERATIONS), seed: number("PINRAIL_MODEL_SEED", 0) }
    }
}

#[expect(clippy::disallowed_methods, reason = "how much a test binary runs is asked for where it is run")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Run histories until there were as many operations as asked for; panics with the smallest history that fails.
pub fn run<S, F>(extent: Extent, any: impl Fn() -> S + Sync, length: impl Fn(&S::Value) -> usize + Sync, live: F)
where
    S: Strategy,
    S::Value: Debug,
    F: AsyncFn(&S::Value) -> Result<(), String> + Sync,
{
    let runtime = Runtime::new().expect("a runtime is made");
    let (begun, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            let lane = std::thread::Builder::new().stack_size(STACK);
            let run = || {
                while done.load(Ordering::SeqCst) < extent.operations
                    && failed.lock().is_ok_and(|failed| failed.is_none())
                {
                    let seed = extent.seed + begun.fetch_add(1, Ordering::SeqCst);
                    let count = |history: &S::Value| done.fetch_add(length(history) as u64, Ordering::SeqCst);
                    if let Err(error) = run_one(&runtime, seed, &any(), &live, count) {
                        failed.lock().expect("no lane panics").get_or_insert((seed, error));
                    }
                }
            };
            lane.spawn_scoped(scope, run).expect("a thread is made");
        }
    });
    if let Some((seed, error)) = failed.into_inner().expect("no lane panicked") {
        let error = error.replace(PEER, "…");
        panic!("PINRAIL_MODEL_SEED={seed} PINRAIL_MODEL_OPERATIONS=1 runs this history again: {error}");
    }
    let (seed, histories, operations) = (extent.seed, begun.into_inner(), done.into_inner());
    println!("{operations} operations in {histories} histories, seeds {seed} to {}", seed + histories - 1);
}

fn run_one<S, F>(
    runtime: &Runtime,
    seed: u64,
    strategy: &S,
    live: &F,
    count: impl Fn(&S::Value) -> u64,
) -> Result<(), String>
where
    S: Strategy,
    S::Value: Debug,
    F: AsyncFn(&S::Value) -> Result<(), String>,
{
    let config = Config {
        cases: 1,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: u32::MAX - 1,
        max_shrink_time: SHRINK_FOR,
        ..Config::default()
    };
    let told = Cell::new(false);
    let outcome = TestRunner::new(config).run(strategy, |history| {
        let outcome = runtime.block_on(live(&history));
        count(&history);
        if let (Err(wrong), false) = (&outcome, told.replace(outcome.is_err())) {
            println!("the history of seed {seed} fails and is made smaller: {wrong}");
        }
        outcome.map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, history)) => Err(format!("{reason}\nthe smallest history found: {history:?}")),
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
    }
}
