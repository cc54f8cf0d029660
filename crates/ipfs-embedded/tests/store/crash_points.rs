//! A crash at every change of the disk, and every fault of it.
//!
//! Each change meets one crash, and every other one a fault, drawn by a seed. `PINRAIL_CRASH_POINTS=all`
//! has every change meet all of them, `PINRAIL_CRASH_SEED` draws others; what fails says its seed.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pinrail_ipfs_embedded::store::StoreError;

use crate::expect::expect;
use crate::platter::{Change, Platter, SECTOR, index};
use crate::script::{Done, Step, run, script};
use crate::sim_disk::{Dice, Fault, SimDisk};
use crate::verify::verify;

/// What a crash does to what was not synced.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// It is gone.
    Lose,
    /// It is there and still not synced: the process died, the machine did not.
    Keep,
    /// Some of it is.
    Some,
    /// It is there, but the last write only up to one of its sectors.
    Tear,
}

const CRASHES: [Crash; 4] = [Crash::Lose, Crash::Some, Crash::Tear, Crash::Keep];

/// The disk after a crash before the change with this number.
fn after(platter: &Platter, next: Option<&Change>, crash: Crash, dice: &mut Dice) -> Platter {
    match (crash, next) {
        (Crash::Lose, _) => platter.crash(&mut || false),
        (Crash::Keep, _) => platter.clone(),
        (Crash::Tear, Some(Change::Write(inode, offset, bytes))) => {
            let sectors = u64::try_from(bytes.len()).expect("it fits").div_ceil(SECTOR).max(1);
            let torn = index(dice.roll(sectors) * SECTOR);
            let mut platter = platter.clone();
            platter.apply(&Change::Write(*inode, *offset, bytes[..torn].into()));
            platter.crash(&mut || true)
        }
        (Crash::Some | Crash::Tear, _) => {
            let odds = 1 + dice.roll(9);
            platter.crash(&mut || dice.roll(10) < odds)
        }
    }
}

/// A run without faults.
pub struct Run {
    pub history: Vec<Done>,
    pub journal: Vec<Change>,
}

impl Run {
    pub fn new(steps: &[Step]) -> Run {
        let disk = SimDisk::new(Platter::default());
        let history = run(&disk, steps);
        Run { history, journal: disk.journal() }
    }

    /// What of the disk a crash before change `at` leaves.
    pub fn crash(&self, at: usize, crash: Crash, seed: u64) -> Platter {
        let mut platter = Platter::default();
        self.journal[..at].iter().for_each(|change| platter.apply(change));
        after(&platter, self.journal.get(at), crash, &mut Dice(seed))
    }
}

/// Runs the cases on all cores and names those that fail, with what they said.
fn try_all<T: Sync + std::fmt::Debug>(cases: &[T], check: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
                        eprintln!("failed: {case:?}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "of {} cases", cases.len());
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests chooses how much they try")]
fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The seed, and whether all faults are tried at all changes.
fn effort() -> (u64, bool) {
    let seed = asked("PINRAIL_CRASH_SEED").map_or(1, |seed| seed.parse().expect("the seed is a number"));
    (seed, asked("PINRAIL_CRASH_POINTS").is_some_and(|points| points == "all"))
}

#[test]
fn a_run_without_faults_does_all_that_a_store_does() {
    let run = Run::new(&script());
    for done in &run.history {
        let refused = match &done.step {
            Step::Release(_, 1) => matches!(done.result, Err(StoreError::StaleEpoch { .. })),
            Step::Finish(..) if done.result.is_err() => matches!(done.result, Err(StoreError::Holes(_))),
            Step::Put(..) if done.result.is_err() => {
                matches!(done.result, Err(StoreError::StorageFull | StoreError::StaleEpoch { .. }))
            }
            _ => done.result.is_ok(),
        };
        assert!(refused, "{done:?}");
    }
    let named = |end: &'static str| move |path: &std::path::PathBuf| path.to_string_lossy().ends_with(end);
    let some = |what: &dyn Fn(&Change) -> bool| assert!(run.journal.iter().any(what));
    some(&|change| matches!(change, Change::Punch(..)));
    some(&|change| matches!(change, Change::Allocate(..)));
    some(&|change| matches!(change, Change::Remove(path) if named(".seg")(path)));
    some(&|change| matches!(change, Change::Remove(path) if named("ballast")(path)));
    some(&|change| matches!(change, Change::Rename(_, path) if named("roots.log")(path)));
}

#[test]
fn a_crash_at_any_change_of_the_disk_loses_nothing() {
    let (seed, all) = effort();
    let run = Run::new(&script());
    let mut dice = Dice(seed);
    let mut cases = Vec::new();
    for at in 0..=run.journal.len() {
        if all {
            cases.extend(CRASHES.map(|crash| (at, crash, dice.roll(u64::MAX))));
        } else {
            cases.push((at, CRASHES[index(dice.roll(4))], dice.roll(u64::MAX)));
        }
    }
    try_all(&cases, |(at, crash, seed)| {
        verify(run.crash(*at, *crash, *seed), &expect(&run.history, *at));
    });
}

#[test]
fn a_fault_at_any_change_of_the_disk_loses_nothing() {
    let (seed, all) = effort();
    let steps = script();
    let changes = Run::new(&steps).journal.len();
    let mut dice = Dice(seed);
    let mut cases = Vec::new();
    for at in 0..changes {
        let some = usize::try_from(2 + dice.roll(40)).expect("it fits");
        let faults = [Fault::Fail { at, count: 1 }, Fault::Fail { at, count: some }, Fault::Fill { at }];
        // With and without the power going at some time afterwards.
        let off = at + usize::try_from(dice.roll(150)).expect("it fits");
        let choices: Vec<_> =
            faults.iter().flat_map(|fault| [off, usize::MAX].map(|off| (*fault, off, dice.roll(u64::MAX)))).collect();
        if all {
            cases.extend(choices);
        } else if dice.roll(2) == 0 {
            cases.push(choices[index(dice.roll(6))]);
        }
    }
    try_all(&cases, |(fault, off, seed)| {
        let disk = SimDisk::failing(Platter::default(), Some(*fault), *off, *seed);
        let history = run(&disk, &steps);
        let mut dice = Dice(*seed);
        let crash = CRASHES[index(dice.roll(3))];
        let platter = after(&disk.platter(), None, crash, &mut dice);
        verify(platter, &expect(&history, disk.changes()));
    });
}
