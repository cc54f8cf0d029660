//! A root loses requests and holds, and is released.

use pinrail_domain::{RootRecord, RootState, Unwanted};

use super::{LATER, NOW, anew, held, leased, root};

const WANTED: [RootState; 4] = [RootState::Queued, RootState::Pinning, RootState::Pinned, RootState::Failed];

/// Take a request away; what came of it.
fn lose_request(before: &RootRecord, is_held: bool) -> (Unwanted, RootRecord) {
    let mut root = before.clone();
    (root.lose_request(is_held, NOW), root)
}

/// Take a hold away; what came of it.
fn lose_hold(before: &RootRecord) -> (Unwanted, RootRecord) {
    let mut root = before.clone();
    (root.lose_hold(NOW), root)
}

#[test]
fn without_its_last_request_and_hold_a_root_is_released() {
    for state in WANTED {
        for before in [root(state), leased(state, LATER)] {
            let gone = RootRecord { requests: 0, refs: 0, ..anew(RootState::Releasing, &before) };
            assert_eq!(lose_request(&before, false), (Unwanted::Releasing, gone.clone()), "{before:?}");
            let before = RootRecord { requests: 0, ..before };
            assert_eq!(lose_hold(&before), (Unwanted::Releasing, gone), "{before:?}");
        }
    }
}

#[test]
fn with_a_hold_alone_a_fetch_ends_and_what_is_there_stays() {
    for state in WANTED {
        let before = RootRecord { waiting: state == RootState::Pinning, ..leased(state, LATER) };
        let before = if before.is_unfinished() { before } else { root(state) };
        let idle = RootRecord { lease: None, waiting: false, epoch: before.epoch + 1, ..before.clone() };
        let (unwanted, left) =
            if before.is_unfinished() { (Unwanted::Idle, idle) } else { (Unwanted::Kept, before.clone()) };
        let left = RootRecord { requests: 0, refs: 1, ..left };
        assert_eq!(lose_request(&before, true), (unwanted, left.clone()), "{state:?}, held by what replaced it");
        let before = RootRecord { refs: 2, ..before };
        assert_eq!(lose_request(&before, false), (unwanted, left), "{state:?}, held by another");
    }
}

#[test]
fn with_another_request_a_root_goes_on() {
    for state in WANTED {
        let before = RootRecord { requests: 2, refs: 3, ..leased(state, LATER) };
        let left = RootRecord { requests: 1, refs: 2, ..before.clone() };
        assert_eq!(lose_request(&before, false), (Unwanted::Kept, left.clone()), "{state:?}");
        let left = RootRecord { refs: 3, ..left };
        assert_eq!(lose_request(&before, true), (Unwanted::Kept, left), "{state:?}");
        let left = RootRecord { refs: 2, ..before.clone() };
        assert_eq!(lose_hold(&before), (Unwanted::Kept, left), "{state:?}");
    }
}

#[test]
fn a_hold_that_is_not_the_last_changes_nothing_else() {
    for state in WANTED {
        let before = RootRecord { refs: 2, ..held(state) };
        assert_eq!(lose_hold(&before), (Unwanted::Kept, held(state)), "{state:?}");
    }
}

#[test]
fn the_next_copy_is_released_at_once_with_fresh_attempts() {
    let before = RootRecord { attempts: 9, ..leased(RootState::Releasing, LATER) };
    let mut after = before.clone();
    after.release_next(NOW);
    assert_eq!(after, RootRecord { lease: None, due: NOW, attempts: 0, ..before });
}
