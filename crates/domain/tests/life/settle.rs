//! What each verdict makes of a leased root.

use std::time::Duration;

use pinrail_domain::{FailureReason, LeaseLost, RootRecord, RootState, Settled, Verdict};
use pinrail_spec::Timestamp;

use super::{LATER, NOW, SIZE, failure, leased};

const DUE: Timestamp = Timestamp::from_millis(NOW.as_millis() + 10_000);

/// A root on its second attempt, the first of which failed.
fn fetched() -> RootRecord {
    leased(RootState::Pinning, LATER)
}

/// A root on its first attempt.
fn first_fetched() -> RootRecord {
    RootRecord { attempts: 1, failure: None, ..fetched() }
}

/// A root that a request came for since it was leased.
fn asked_for() -> RootRecord {
    RootRecord { retry: false, ..fetched() }
}

fn released() -> RootRecord {
    RootRecord { attempts: 2, ..leased(RootState::Releasing, LATER) }
}

fn retry() -> Verdict {
    Verdict::Retry { due: DUE, failure: failure(FailureReason::NoProviderFound) }
}

fn wait() -> Verdict {
    Verdict::Wait { due: DUE, failure: failure(FailureReason::NoProviderFound) }
}

const fn pause(storage_full: bool) -> Verdict {
    Verdict::Pause { due: DUE, storage_full }
}

fn settle(before: &RootRecord, verdict: &Verdict) -> (Result<Settled, LeaseLost>, RootRecord) {
    let mut root = before.clone();
    (root.settle(verdict, NOW), root)
}

/// The root put off until it is due, its lease ended.
fn put_off(before: &RootRecord) -> RootRecord {
    RootRecord { lease: None, due: DUE, ..before.clone() }
}

/// The root with the failure of the last attempt.
fn failed(before: &RootRecord) -> RootRecord {
    RootRecord { failure: Some(failure(FailureReason::NoProviderFound)), ..before.clone() }
}

#[test]
fn pinned_is_whole_and_has_no_failure() {
    let pinned = RootRecord { state: RootState::Pinned, lease: None, failure: None, size: Some(SIZE), ..fetched() };
    assert_eq!(settle(&fetched(), &Verdict::Pinned { size: SIZE }), (Ok(Settled::Pinned), pinned));
}

#[test]
fn failed_ends_its_holds_a_day_later() {
    let verdict = Verdict::Failed { failure: failure(FailureReason::NoProviderFound) };
    let holds_end = NOW + Duration::from_hours(24);
    let given_up = failed(&RootRecord { state: RootState::Failed, lease: None, ..fetched() });
    assert_eq!(settle(&fetched(), &verdict), (Ok(Settled::Failed { holds_end }), given_up));
}

#[test]
fn a_retry_notes_the_failure_and_stays_pinning() {
    for before in [fetched(), first_fetched(), released()] {
        let after = failed(&put_off(&before));
        assert_eq!(settle(&before, &retry()), (Ok(Settled::PutOff), after), "{before:?}");
    }
}

#[test]
fn a_wait_gives_its_attempt_back() {
    for before in [fetched(), first_fetched()] {
        let attempts = before.attempts - 1;
        let after = RootRecord { waiting: true, attempts, ..failed(&put_off(&before)) };
        assert_eq!(settle(&before, &wait()), (Ok(Settled::PutOff), after), "{before:?}");
    }
}

#[test]
fn a_pause_gives_its_attempt_back_and_notes_a_full_disk() {
    for (before, storage_full, is_retry) in [
        (first_fetched(), false, false),
        (first_fetched(), true, false),
        (fetched(), false, true),
        (fetched(), true, false),
    ] {
        let attempts = before.attempts - 1;
        let after = RootRecord { attempts, retry: is_retry, paused: storage_full, ..put_off(&before) };
        assert_eq!(settle(&before, &pause(storage_full)), (Ok(Settled::PutOff), after), "{before:?}");
    }
    for storage_full in [false, true] {
        let after = RootRecord { attempts: 1, paused: storage_full, ..put_off(&released()) };
        assert_eq!(settle(&released(), &pause(storage_full)), (Ok(Settled::PutOff), after));
    }
}

#[test]
fn what_was_asked_for_during_an_attempt_is_tried_again_at_once() {
    let (retried, waiting) = (settle(&asked_for(), &retry()).1, settle(&asked_for(), &wait()).1);
    assert_eq!((retried.due, retried.retry), (NOW, false), "the attempt may not have asked the request's origins");
    assert_eq!((waiting.due, waiting.retry, waiting.waiting), (NOW, false, true));
    for storage_full in [false, true] {
        let paused = settle(&asked_for(), &pause(storage_full)).1;
        assert_eq!((paused.due, paused.retry), (DUE, false), "a pause makes no retry of what was asked for");
    }
}

#[test]
fn a_settled_root_begins_no_new_life() {
    for verdict in [
        Verdict::Pinned { size: SIZE },
        Verdict::Failed { failure: failure(FailureReason::NoProviderFound) },
        retry(),
        wait(),
        pause(true),
    ] {
        let (_, after) = settle(&fetched(), &verdict);
        assert_eq!((after.epoch, after.wanted_since), (fetched().epoch, fetched().wanted_since), "{verdict:?}");
        assert_eq!((after.requests, after.refs, after.lease), (1, 1, None), "{verdict:?}");
    }
}

#[test]
fn a_verdict_of_another_task_changes_nothing() {
    let of_pins =
        [Verdict::Pinned { size: SIZE }, Verdict::Failed { failure: failure(FailureReason::NoProviderFound) }, wait()];
    for verdict in of_pins {
        assert_eq!(settle(&released(), &verdict), (Err(LeaseLost), released()), "{verdict:?}");
    }
    assert_eq!(settle(&fetched(), &Verdict::Released), (Err(LeaseLost), fetched()));
    assert_eq!(settle(&released(), &Verdict::Released).0, Ok(Settled::Released));
}

#[test]
fn attempts_given_back_are_never_below_none() {
    let none = RootRecord { attempts: 0, ..fetched() };
    for verdict in [wait(), pause(false)] {
        assert_eq!(settle(&none, &verdict).1.attempts, 0, "{verdict:?}");
    }
}
