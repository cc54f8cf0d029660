//! A crash at every change of the disk, and every fault of it.
//!
//! Each change meets the two crashes that differ most, and some of them the others, another crash
//! while the store recovers, and a fault, drawn by a seed. `PINRAIL_CRASH_POINTS=all` has every
//! change meet all of them, `PINRAIL_CRASH_SEED` draws others; what fails says its seed.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pinrail_block_store::StoreError;

use crate::expect::expect;
use crate::fault::{Dice, Fault};
use crate::platter::{Change, Platter, SECTOR, index};
use crate::script::{Done, Step, open, run, script};
use crate::sim_disk::SimDisk;
use crate::verify::{verify, without_index};

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

/// The disk when the power goes a second time, while the store opens.
fn after_another(platter: Platter, dice: &mut Dice) -> Platter {
    let platter = if dice.roll(2) == 0 { platter } else { without_index(&platter) };
    let whole = SimDisk::new(platter.clone());
    let store = open(&whole).expect("it opens while there is power");
    let changes = u64::try_from(whole.changes()).expect("it fits");
    drop(store);
    let off = usize::try_from(dice.roll(changes)).expect("it fits");
    let disk = SimDisk::failing(platter, None, off, dice.roll(u64::MAX));
    open(&disk).expect_err("there is no power");
    after(&disk.platter(), None, CRASHES[index(dice.roll(3))], dice)
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
        let crashes = if all { &CRASHES[..] } else { &[Crash::Lose, Crash::Some] };
        cases.extend(crashes.iter().map(|crash| (at, *crash, dice.roll(u64::MAX), all || dice.roll(8) == 0)));
        if !all && dice.roll(8) == 0 {
            cases.push((at, [Crash::Tear, Crash::Keep][index(dice.roll(2))], dice.roll(u64::MAX), false));
        }
    }
    try_all(&cases, |(at, crash, seed, again)| {
        let expected = expect(&run.history, *at);
        let left = run.crash(*at, *crash, *seed);
        if *again {
            verify(after_another(left.clone(), &mut Dice(*seed)), &expected);
        }
        verify(left, &expected);
    });
}

/// The faults that may come with a change, with and without the power going at some time afterwards.
fn faults_at(at: usize, dice: &mut Dice) -> Vec<(Fault, usize, u64)> {
    let mut some = |least: u64, more: u64| usize::try_from(least + dice.roll(more)).expect("it fits");
    let (off, count, flickering, between) = (at + some(0, 150), some(2, 40), some(2, 60), some(0, 40));
    let faults = [
        Fault::Fail { at, count: 1 },
        Fault::Fail { at, count },
        Fault::Flicker { at, count: flickering, odds: 2 + dice.roll(8) },
        Fault::Relapse { at, between },
        Fault::Fill { at },
    ];
    faults.iter().flat_map(|fault| [off, usize::MAX].map(|off| (*fault, off, dice.roll(u64::MAX)))).collect()
}

#[test]
fn a_fault_at_any_change_of_the_disk_loses_nothing() {
    let (seed, all) = effort();
    let steps = script();
    let sound = SimDisk::new(Platter::default());
    let without_faults = run(&sound, &steps);
    let mut dice = Dice(seed);
    let mut cases = Vec::new();
    for at in 0..sound.changes() {
        let choices = faults_at(at, &mut dice);
        if all {
            cases.extend(choices);
        } else if dice.roll(2) == 0 {
            cases.push(choices[index(dice.roll(10))]);
        }
    }
    for at in 0..sound.looks() {
        if all || dice.roll(16) == 0 {
            cases.push((Fault::Blink { at }, usize::MAX, dice.roll(u64::MAX)));
        }
    }
    try_all(&cases, |(fault, off, seed)| {
        let disk = SimDisk::failing(Platter::default(), Some(*fault), *off, *seed);
        let history = run(&disk, &steps);
        if fault.is_single() && *off == usize::MAX {
            assert_gone_on(&history, &without_faults);
        }
        let mut dice = Dice(*seed);
        let crash = CRASHES[index(dice.roll(3))];
        let platter = after(&disk.platter(), None, crash, &mut dice);
        verify(platter, &expect(&history, disk.changes()));
    });
}

/// Once a single failure has passed, no step fails for the disk's sake, though nobody opens the store
/// again.
pub fn assert_gone_on(history: &[Done], without_faults: &[Done]) {
    for (done, sound) in history.iter().zip(without_faults).filter(|(done, _)| done.struck) {
        let full = |done: &Done| matches!(done.result, Err(StoreError::StorageFull));
        let refused = done.is_refused() || full(done) && full(sound);
        assert!(done.result.is_ok() || refused, "{done:?}");
    }
}
