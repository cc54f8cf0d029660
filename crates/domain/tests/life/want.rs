//! A root becomes wanted.

use pinrail_domain::{DagSize, LeaseKey, RootRecord, RootState, Wanted};
use pinrail_spec::Cid;

use super::{EARLIER, LATER, NOW, SIZE, STATES, anew, held, leased, root, seconds};

/// The root with one request more.
fn counted(before: RootRecord) -> RootRecord {
    RootRecord { requests: before.requests + 1, refs: before.refs + 1, ..before }
}

/// Want it; what came of it.
fn want(before: &RootRecord, inline: Option<DagSize>) -> (Wanted, RootRecord) {
    let mut root = before.clone();
    (root.want(inline, NOW), root)
}

#[test]
fn a_new_root_is_queued_and_due() {
    let root = RootRecord::new(None, 0, NOW);
    assert_eq!((root.state, root.requests, root.refs, root.attempts), (RootState::Queued, 1, 1, 0));
    assert_eq!((root.due, root.wanted_since, root.lease, root.size), (NOW, NOW, None, None));
    assert!(!root.retry && !root.waiting && !root.paused && root.failure.is_none());
}

#[test]
fn a_new_root_whose_cid_holds_it_whole_is_pinned() {
    let cid = Cid::parse("f01550003616263").unwrap();
    let size = DagSize::inline(&cid);
    assert_eq!(size, Some(DagSize { blocks: 1, bytes: 3 }));
    let root = RootRecord::new(size, 0, NOW);
    assert_eq!(root, RootRecord { state: RootState::Pinned, size, ..RootRecord::new(None, 0, NOW) });
    let hashed = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").unwrap();
    assert_eq!(DagSize::inline(&hashed), None);
}

#[test]
fn an_epoch_outlives_its_row() {
    let by_time = LeaseKey::epoch_before(NOW);
    for (released, epoch) in [(0, by_time + 1), (by_time, by_time + 1), (by_time + 9, by_time + 10)] {
        assert_eq!(RootRecord::new(None, released, NOW).epoch, epoch, "{released} was released");
    }
}

#[test]
fn the_first_request_makes_all_but_a_pinned_root_wanted_afresh() {
    let releasing = root(RootState::Releasing);
    let unwanted = STATES[..4].iter().map(|state| held(*state)).chain([releasing]);
    for before in unwanted {
        let wanted = counted(RootRecord { wanted_since: NOW, ..anew(RootState::Queued, &before) });
        let wanted = match before.state {
            RootState::Pinned => (Wanted::Pinned, counted(before.clone())),
            _ => (Wanted::Afresh, wanted),
        };
        assert_eq!(want(&before, None), wanted, "{:?}", before.state);
    }
}

#[test]
fn a_further_request_hurries_an_unfinished_root_and_revives_a_failed_one() {
    let hurried = |before: &RootRecord| counted(RootRecord { due: NOW, retry: false, ..before.clone() });
    let marked = |before: &RootRecord| counted(RootRecord { retry: false, ..before.clone() });
    let afresh = |before: &RootRecord| counted(RootRecord { wanted_since: NOW, ..anew(RootState::Queued, before) });
    let waiting = RootRecord { waiting: true, ..root(RootState::Pinning) };
    let overdue = RootRecord { due: EARLIER, ..root(RootState::Pinning) };
    let cases = [
        (root(RootState::Queued), Wanted::Again, hurried(&root(RootState::Queued))),
        (root(RootState::Pinning), Wanted::Again, hurried(&root(RootState::Pinning))),
        (waiting.clone(), Wanted::Again, hurried(&waiting)),
        (overdue.clone(), Wanted::Again, marked(&overdue)),
        // Its worker may have asked all origins already, so it is tried again once the lease is settled.
        (leased(RootState::Pinning, LATER), Wanted::Again, marked(&leased(RootState::Pinning, LATER))),
        (leased(RootState::Pinning, NOW), Wanted::Again, hurried(&leased(RootState::Pinning, NOW))),
        (root(RootState::Pinned), Wanted::Pinned, counted(root(RootState::Pinned))),
        (root(RootState::Failed), Wanted::Afresh, afresh(&root(RootState::Failed))),
    ];
    for (index, (before, wanted, after)) in cases.into_iter().enumerate() {
        assert_eq!(want(&before, None), (wanted, after), "case {index}");
    }
}

#[test]
fn a_cid_that_holds_it_whole_is_pinned_by_any_request() {
    for state in STATES {
        for before in [root(state), held(state), leased(state, LATER)] {
            let pinned = RootRecord { wanted_since: NOW, size: Some(SIZE), ..anew(RootState::Pinned, &before) };
            let wanted = match state {
                RootState::Pinned => (Wanted::Pinned, counted(before.clone())),
                _ => (Wanted::Inline, counted(pinned)),
            };
            assert_eq!(want(&before, Some(SIZE)), wanted, "{before:?}");
        }
    }
}

#[test]
fn wanted_afresh_is_a_new_life_for_the_same_requests() {
    for state in STATES {
        for before in [root(state), leased(state, LATER)] {
            let mut after = before.clone();
            after.want_afresh(NOW);
            assert_eq!(after, RootRecord { wanted_since: NOW, ..anew(RootState::Queued, &before) }, "{before:?}");
        }
    }
}

#[test]
fn a_woken_root_is_due_at_once_and_no_retry() {
    for due in [EARLIER, LATER] {
        let before = RootRecord { waiting: true, due, ..root(RootState::Pinning) };
        let mut after = before.clone();
        after.wake(NOW);
        assert_eq!(after, RootRecord { waiting: false, retry: false, due: due.min(NOW), ..before });
    }
}

#[test]
fn a_resumed_root_is_due_at_once_with_a_fresh_time_limit() {
    for due in [EARLIER, LATER] {
        let before = RootRecord { due, ..root(RootState::Pinning) };
        let mut after = before.clone();
        after.resume(NOW + seconds(1));
        let due = due.min(NOW + seconds(1));
        assert_eq!(after, RootRecord { due, wanted_since: NOW + seconds(1), ..before });
    }
}
