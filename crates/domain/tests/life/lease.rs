//! Leases as a root's row holds them, and what a row says of itself.

use pinrail_domain::{BLOCK_OVERHEAD, LeaseKey, LeaseRecord, Progress, QueuePlace, RootRecord, RootState};
use pinrail_spec::{Cid, Timestamp};

use super::{EARLIER, EPOCH, LATER, NOW, SIZE, STATES, held, leased, root, token};

const RECEIVED: Progress = Progress { blocks: 2, bytes: 500 };

fn due(state: RootState) -> RootRecord {
    RootRecord { due: NOW, ..root(state) }
}

#[test]
fn a_lease_counts_an_attempt_and_makes_a_retry() {
    let lease = Some(LeaseRecord { token: token(2), until: LATER });
    let befores = [
        due(RootState::Queued),
        due(RootState::Pinning),
        RootRecord { waiting: true, paused: true, ..due(RootState::Pinning) },
        RootRecord { retry: false, ..due(RootState::Pinning) },
        RootRecord { due: NOW, ..leased(RootState::Pinning, NOW) },
    ];
    for before in befores {
        let mut after = before.clone();
        after.take_lease(token(2), LATER);
        let (epoch, attempts) = (EPOCH + 1, before.attempts + 1);
        let flags = RootRecord { retry: true, waiting: false, paused: false, ..before };
        assert_eq!(after, RootRecord { state: RootState::Pinning, epoch, attempts, lease, ..flags });
    }
}

#[test]
fn a_release_stays_one_while_it_is_leased() {
    let before = due(RootState::Releasing);
    let mut after = before.clone();
    after.take_lease(token(2), LATER);
    let lease = Some(LeaseRecord { token: token(2), until: LATER });
    assert_eq!(after, RootRecord { epoch: EPOCH + 1, attempts: 1, lease, ..before });
}

#[test]
fn a_lease_is_renewed_expired_or_not_and_ends() {
    for until in [EARLIER, LATER] {
        let mut after = leased(RootState::Pinning, until);
        after.renew_lease(LATER.next());
        assert_eq!(after, leased(RootState::Pinning, LATER.next()));
        after.end_lease();
        assert_eq!(after, root(RootState::Pinning), "the attempt stays counted");
    }
    let mut free = root(RootState::Pinning);
    free.renew_lease(LATER);
    assert_eq!(free, root(RootState::Pinning));
}

#[test]
fn a_lease_is_held_by_its_token_and_the_roots_epoch() {
    let cid = Cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").unwrap();
    let key = |number, epoch| LeaseKey { root: cid.root(), token: token(number), epoch };
    for until in [EARLIER, LATER] {
        let root = leased(RootState::Pinning, until);
        assert!(root.is_held_by(&key(1, EPOCH)), "expired or not");
        assert!(!root.is_held_by(&key(2, EPOCH)), "another's token");
        assert!(!root.is_held_by(&key(1, EPOCH - 1)) && !root.is_held_by(&key(1, EPOCH + 1)), "another epoch");
    }
    assert!(!root(RootState::Pinning).is_held_by(&key(1, EPOCH)));
}

#[test]
fn a_lease_expires_at_its_end() {
    assert!(leased(RootState::Pinning, NOW.next()).is_leased(NOW));
    assert!(!leased(RootState::Pinning, NOW).is_leased(NOW));
    assert!(!root(RootState::Pinning).is_leased(NOW));
}

#[test]
fn what_may_be_leased_is_due_and_free() {
    for state in STATES {
        let is_pin = matches!(state, RootState::Queued | RootState::Pinning);
        let is_release = state == RootState::Releasing;
        let may = |root: &RootRecord| (root.may_be_pinned(NOW), root.may_be_released(NOW));
        let with_lease = |until: Timestamp| RootRecord { due: NOW, ..leased(state, until) };
        assert_eq!(may(&due(state)), (is_pin, is_release), "{state:?}");
        assert_eq!(may(&with_lease(NOW)), (is_pin, is_release), "{state:?}, expired");
        assert_eq!(may(&with_lease(LATER)), (false, false), "{state:?}, leased");
        assert_eq!(may(&root(state)), (false, false), "{state:?}, due later");
        let alone = RootRecord { due: NOW, ..held(state) };
        assert!(!alone.may_be_pinned(NOW), "{state:?}: a hold is no reason to fetch");
    }
}

#[test]
fn new_roots_and_those_that_are_hurried_are_one_queue_before_retries() {
    let place = |root: &RootRecord| root.queue_place();
    assert_eq!(place(&root(RootState::Queued)), QueuePlace { rank: 0, due: Some(LATER) });
    let hurried = RootRecord { retry: false, ..root(RootState::Pinning) };
    assert_eq!(place(&hurried), QueuePlace { rank: 1, due: Some(LATER) });
    assert_eq!(place(&root(RootState::Pinning)), QueuePlace { rank: 2, due: Some(LATER) });
    for state in STATES {
        let is_in_a_queue = matches!(state, RootState::Queued | RootState::Pinning);
        assert_eq!(place(&root(state)).due.is_some(), is_in_a_queue, "{state:?}");
        assert_eq!(place(&leased(state, EARLIER)).due, None, "{state:?}, expired");
    }
}

#[test]
fn a_root_counts_for_what_is_there_of_it() {
    let (received, whole) = (500 + 2 * BLOCK_OVERHEAD, 700 + 3 * BLOCK_OVERHEAD);
    for (state, bytes) in STATES.into_iter().zip([received, received, whole, 0, 0]) {
        assert_eq!(root(state).counted_bytes(RECEIVED), bytes, "{state:?}");
    }
}

#[test]
fn a_reader_is_told_when_a_root_is_tried_next_and_what_is_there() {
    for state in STATES {
        let view = root(state).view(RECEIVED, true, NOW);
        let whole = Progress { blocks: SIZE.blocks, bytes: SIZE.bytes };
        assert_eq!(view.progress, if state == RootState::Pinned { whole } else { RECEIVED }, "{state:?}");
        assert_eq!(view.due, (state == RootState::Pinning).then_some(LATER), "{state:?}");
        assert_eq!((view.state, view.node_silent), (state, true));
    }
    let shown = |until| leased(RootState::Pinning, until).view(RECEIVED, false, NOW).due;
    assert_eq!((shown(LATER), shown(NOW)), (None, Some(LATER)), "leased, and expired");
}
