//! What crash points have found, each told by itself.
use std::path::Path;

use crate::crash_points::{Crash, Run, assert_gone_on};
use crate::dag::{Block, RAW, block, leaf, parent};
use crate::expect::expect;
use crate::fault::Fault;
use crate::platter::{Change, Platter};
use crate::script::{Done, Step, run};
use crate::sim_disk::SimDisk;
use crate::verify::verify;

/// A root with a leaf whose disk is given back once it is deleted.
fn large(name: &str) -> (Block, Vec<Block>) {
    let leaf = block(RAW, name.bytes().cycle().take(100_000).collect(), &[]);
    let root = parent(name, &[&leaf]);
    (root.clone(), vec![root, leaf])
}

fn pinned(name: &str) -> Vec<Step> {
    let (root, blocks) = large(name);
    vec![Step::Begin(root.key, 1), Step::Put(root.key, 1, blocks), Step::Finish(root.key, 1)]
}

/// The number of the first change like this from `from` on.
fn find(journal: &[Change], from: usize, like: impl Fn(&Change) -> bool) -> usize {
    from + journal[from..].iter().position(like).expect("there is such a change")
}

/// Runs the steps on a disk that fails at these changes; the power goes before the store is closed,
/// which would save its index.
fn run_failing(steps: &[Step], at: usize, count: usize) -> Vec<Done> {
    // The cache goes on showing what did not arrive, by this seed.
    run_with(steps, Fault::Fail { at, count }, 1)
}

fn run_with(steps: &[Step], fault: Fault, seed: u64) -> Vec<Done> {
    let failing = |off| SimDisk::failing(Platter::default(), Some(fault), off, seed);
    let end = run(&failing(usize::MAX), steps).last().expect("there are steps").to;
    let disk = failing(end);
    let history = run(&disk, steps);
    assert!(history.iter().any(|done| done.result.is_err()), "a step met the fault");
    verify(disk.platter().crash(&mut || false), &expect(&history, end));
    history
}

#[test]
fn a_new_store_does_not_go_with_its_folders_name() {
    let run = Run::new(&pinned("one"));
    let all = run.journal.len();
    let left = run.crash(all, Crash::Lose, 0);
    assert!(left.has_folder(Path::new("/data/blocks")));
    verify(left, &expect(&run.history, all));
}

#[test]
fn a_segment_whose_first_block_was_refused_is_not_taken_for_a_deleted_one() {
    let (root, blocks) = large("one");
    let mut steps = vec![Step::Put(root.key, 1, vec![leaf("refused")]), Step::Collect(0)];
    steps.extend(pinned("one"));
    let run = Run::new(&steps);
    let all = run.history[run.history.len() - 1].to;
    let expected = expect(&run.history, all);
    assert_eq!(expected[&root.key].blocks.len(), blocks.len());
    verify(run.crash(all, Crash::Lose, 0), &expected);
}

#[test]
fn what_a_killed_process_had_not_synced_is_synced_before_the_index_says_so() {
    let run = Run::new(&pinned("one"));
    let written = find(&run.journal, run.history[1].from, |change| matches!(change, Change::Write(..)));
    // The second crash is part of what is verified.
    verify(run.crash(written + 1, Crash::Keep, 0), &expect(&run.history, written + 1));
}

#[test]
fn a_log_written_anew_is_written_to_only_once_its_name_is_durable() {
    let mut steps: Vec<Step> = pinned("one");
    let (root, _) = large("one");
    steps.extend((2..12).flat_map(|epoch| [Step::Release(root.key, 2 * epoch), Step::Begin(root.key, 2 * epoch + 1)]));
    // A change of the log alone, since a new segment would sync the folder too.
    steps.extend([Step::Collect(0), Step::Begin(large("two").0.key, 1)]);
    let run = Run::new(&steps);
    let renamed = find(&run.journal, 0, |change| matches!(change, Change::Rename(..)));
    assert!(matches!(run.journal[renamed + 1], Change::SyncFolder(_)));
    let history = run_failing(&steps, renamed + 1, 1);
    assert!(history[history.len() - 1].result.is_ok(), "it goes on");
}

#[test]
fn disk_is_given_back_only_for_deletes_that_are_durable() {
    let (root, _) = large("one");
    // A neighbour that stays, or the whole segment would go.
    let small = leaf("neighbour");
    let mut steps = vec![Step::Begin(small.key, 1), Step::Put(small.key, 1, vec![small.clone()])];
    steps.push(Step::Finish(small.key, 1));
    steps.extend(pinned("one"));
    // The second one finds the deletes done, and gives the disk back.
    steps.extend([Step::Release(root.key, 2), Step::Collect(0), Step::Collect(0)]);
    let run = Run::new(&steps);
    let collect = &run.history[7];
    let punched = find(&run.journal, collect.from, |change| matches!(change, Change::Punch(..)));
    let synced = run.journal[..punched].iter().rposition(|change| matches!(change, Change::Sync(_)));
    run_failing(&steps, synced.expect("there was a sync before"), 1);
}

#[test]
fn a_change_of_roots_that_failed_does_not_come_back() {
    let (one, two) = (large("one").0, large("two").0);
    let mut steps = pinned("one");
    steps.extend(pinned("two"));
    steps.extend([
        Step::Release(two.key, 2),
        Step::Begin(two.key, 3),
        Step::Release(one.key, 2),
        Step::Begin(two.key, 4),
    ]);
    let run = Run::new(&steps);
    // The release of the second root fails, and so does cutting it off.
    for count in 1..12 {
        run_failing(&steps, run.history[6].from + 1, count);
    }
}

#[test]
fn an_index_that_could_not_catch_up_is_not_gone_on_with() {
    let mut steps = pinned("one");
    steps.extend(pinned("two"));
    steps.push(Step::Collect(0));
    steps.extend(pinned("three"));
    // The index fails with all that it has not saved, and then something that catching up reads or
    // writes.
    let saved = Run::new(&steps).history[6].from;
    for between in 0..100 {
        run_with(&steps, Fault::Relapse { at: saved, between }, 1);
    }
}

#[test]
fn a_batch_whose_sync_failed_is_written_again_before_the_index_says_so() {
    let mut steps = pinned("one");
    steps.extend([Step::Reopen, Step::Begin(large("one").0.key, 2), Step::Begin(large("two").0.key, 1)]);
    let run = Run::new(&steps);
    let synced = find(&run.journal, run.history[1].from, |change| matches!(change, Change::Sync(_)));
    // So does cutting it off, and opening the index to do so, until the store is opened again. An odd
    // seed makes a disk that cannot write past the cache.
    for (count, seed) in (2..10).flat_map(|count| (1..20).step_by(2).map(move |seed| (count, seed))) {
        run_with(&steps, Fault::Fail { at: synced, count }, seed);
    }
}

#[test]
fn a_read_that_failed_once_does_not_close_the_store() {
    let mut steps = pinned("one");
    let (root, _) = large("one");
    steps.extend([Step::Reopen, Step::Finish(root.key, 1), Step::Finish(root.key, 1), Step::Begin(root.key, 2)]);
    let sound = SimDisk::new(Platter::default());
    let without_faults = run(&sound, &steps);
    for at in 0..sound.looks() {
        let disk = SimDisk::failing(Platter::default(), Some(Fault::Blink { at }), usize::MAX, 0);
        assert_gone_on(&run(&disk, &steps), &without_faults);
    }
}
