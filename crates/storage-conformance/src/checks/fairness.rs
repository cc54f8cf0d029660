//! Fair shares: whose turn it is, and what blocked accounts get.

use std::time::Duration;

use pinrail_domain::{AccountId, Lease, LeaseNews, QueuePosition, Verdict};
use pinrail_spec::Status;
use pinrail_storage::StorageError;

use crate::Fixture;
use crate::fixture::SLOTS;
use crate::samples::{cid, pinned, retry, wait};

async fn add_roots(fixture: &Fixture, account: &AccountId, numbers: std::ops::Range<u64>) {
    for number in numbers {
        fixture.add(account, number).await;
    }
}

fn takers(leases: &[Lease]) -> Vec<AccountId> {
    leases.iter().filter_map(|lease| lease.account).collect()
}

fn numbers(leases: &[Lease]) -> Vec<u64> {
    let number = |lease: &Lease| (0..2_000).find(|number| cid(*number).root() == lease.key.root);
    leases.iter().map(|lease| number(lease).expect("a sample's root")).collect()
}

/// An account with a thousand queued roots does not delay another's one, neither the turn nor the slot.
pub async fn a_thousand_roots_do_not_delay_one(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    add_roots(fixture, &ada, 0..1_001).await;
    let last = fixture.add(&ada, 1_001).await;
    assert_eq!(fixture.find(&ada, &last.id).await.queue_position, Some(QueuePosition::Beyond), "1,000 are counted");

    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!(takers(&leases), vec![ada; 48], "nobody gets the last quarter of 64 slots");
    assert_eq!(numbers(&leases), (0..48).collect::<Vec<_>>());
    let position = fixture.find(&ada, &last.id).await.queue_position;
    assert_eq!(position, Some(QueuePosition::At(1_002 - 48)));

    fixture.advance_secs(1);
    let request = fixture.add(&bob, 1_500).await;
    assert_eq!(fixture.find(&bob, &request.id).await.queue_position, Some(QueuePosition::At(1)));
    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!((takers(&leases), numbers(&leases)), (vec![bob], vec![1_500]));
}

/// No account gets beyond three quarters of the slots, whatever their number, and what it settles it gets again.
pub async fn nobody_gets_the_last_quarter(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    add_roots(fixture, &ada, 0..100).await;
    let mut running = 0;
    for (slots, most) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (8, 6), (64, 48)] {
        let leases = fixture.lease_of(&node, SLOTS, slots).await;
        running += leases.len();
        assert_eq!(running, most, "of {slots} slots");
    }
    let full = fixture.lease(&node, SLOTS).await;
    assert_eq!(full, []);
    fixture.advance_secs(60);
    fixture.beat(&node).await;
    assert_eq!(fixture.lease(&node, SLOTS).await.len(), 48, "expired leases run no more");
}

/// The next root goes to the account with the fewest running, then to the one not served for the longest time.
pub async fn the_fewest_running_then_the_longest_not_served(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.advance_secs(1);
    let bob = fixture.account("bob").await;
    fixture.advance_secs(1);
    let eve = fixture.account("eve").await;
    let node = fixture.node(1).await;
    add_roots(fixture, &ada, 0..20).await;
    add_roots(fixture, &bob, 20..40).await;
    assert_eq!(takers(&fixture.lease(&node, 4).await), [ada, bob, ada, bob], "by turns, of two alike the least id");
    fixture.advance_secs(1);
    let of_ada = fixture.lease(&node, 1).await;
    assert_eq!(takers(&of_ada), [ada]);
    add_roots(fixture, &eve, 40..60).await;
    fixture.advance_secs(1);
    assert_eq!(takers(&fixture.lease(&node, 2).await), [eve, eve], "until she has as many as bob");
    fixture.advance_secs(1);
    assert_eq!(takers(&fixture.lease(&node, 2).await), [bob, eve], "bob has waited longer than eve");

    fixture.settle(&of_ada[0], pinned(1)).await;
    fixture.advance_secs(1);
    assert_eq!(takers(&fixture.lease(&node, 1).await), [ada], "she has two, the others three");
}

/// One slot goes round: with none running, whoever was served last comes last.
pub async fn one_slot_goes_round(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.advance_secs(1);
    let bob = fixture.account("bob").await;
    fixture.advance_secs(1);
    let eve = fixture.account("eve").await;
    let node = fixture.node(1).await;
    for (account, begin) in [(ada, 0), (bob, 10), (eve, 20)] {
        add_roots(fixture, &account, begin..begin + 5).await;
    }
    let mut served = Vec::new();
    for _ in 0..7 {
        fixture.advance_secs(1);
        let leases = fixture.lease_of(&node, 1, 1).await;
        served.extend(takers(&leases));
        fixture.settle(&leases[0], pinned(1)).await;
    }
    assert_eq!(served, [ada, bob, eve, ada, bob, eve, ada]);
}

/// An account's own order: fresh roots before retries, each by due, those due at once by age.
pub async fn fresh_roots_go_before_retries(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    add_roots(fixture, &ada, 0..3).await;
    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!(numbers(&leases), [0, 1, 2]);
    for (lease, seconds) in leases.iter().zip([2, 1, 9]) {
        fixture.settle(lease, retry(fixture.now() + Duration::from_secs(seconds))).await;
    }
    fixture.advance_secs(3);
    add_roots(fixture, &ada, 3..5).await;
    assert_eq!(numbers(&fixture.lease(&node, SLOTS).await), [3, 4, 1, 0]);
    fixture.advance_secs(6);
    assert_eq!(numbers(&fixture.lease(&node, SLOTS).await), [2]);
}

/// A root that found no source stays behind its account's new ones, also when its next attempt is not begun.
pub async fn what_found_no_source_goes_behind_new_roots(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    add_roots(fixture, &ada, 0..3).await;
    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!(numbers(&leases), [0, 1, 2]);
    fixture.settle(&leases[0], wait(fixture.now())).await;
    fixture.settle(&leases[1], retry(fixture.now())).await;
    let pause = || Verdict::Pause { due: fixture.now(), storage_full: false };
    fixture.settle(&leases[2], pause()).await;
    fixture.advance_secs(1);
    for lease in fixture.lease(&node, SLOTS).await {
        fixture.settle(&lease, pause()).await;
    }
    fixture.advance_secs(1);
    add_roots(fixture, &ada, 3..5).await;
    assert_eq!(numbers(&fixture.lease(&node, SLOTS).await), [2, 3, 4, 0, 1], "of which the first was never tried");
}

/// A shared root stands in the queue of each account that wants it, and counts for the one it was taken for.
pub async fn a_shared_root_counts_for_one(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.advance_secs(1);
    let bob = fixture.account("bob").await;
    let node = fixture.node(1).await;
    add_roots(fixture, &ada, 0..2).await;
    let shared = fixture.add(&bob, 1).await;
    add_roots(fixture, &bob, 2..4).await;
    assert_eq!(fixture.find(&bob, &shared.id).await.queue_position, Some(QueuePosition::At(1)));
    let leases = fixture.lease(&node, 2).await;
    assert_eq!(
        (takers(&leases), numbers(&leases)),
        (vec![ada, bob], vec![0, 1]),
        "bob's turn, for what ada waits for too"
    );
    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!((takers(&leases), numbers(&leases)), (vec![bob, bob], vec![2, 3]), "ada waits for nothing more");
}

/// What only blocked accounts want is neither leased nor retried; what others want too is, for them.
pub async fn blocked_accounts_are_passed_over(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let bob = fixture.account("bob").await;
    let node = fixture.node(1).await;
    let kept = fixture.add_pinned(&ada, &node, 9, 10).await;
    add_roots(fixture, &ada, 0..3).await;
    add_roots(fixture, &bob, 2..3).await;
    fixture.block(&ada, Some("spam")).await;
    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!((takers(&leases), numbers(&leases)), (vec![bob], vec![2]));
    fixture.settle(&leases[0], retry(fixture.now())).await;
    fixture.block(&bob, Some("spam")).await;
    fixture.advance_secs(1);
    fixture.assert_nothing_due(&node).await;
    assert_eq!(fixture.find(&ada, &kept.id).await.status, Status::Pinned, "what they have stays");

    assert!(fixture.remove(&ada, &kept.id).await);
    fixture.assert_released(&node, &[9]).await;
}

/// Blocking ends a fetch that nobody else waits for.
pub async fn a_block_ends_running_fetches(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let bob = fixture.account("bob").await;
    let node = fixture.node(1).await;
    add_roots(fixture, &ada, 0..2).await;
    add_roots(fixture, &bob, 1..2).await;
    let leases = fixture.lease(&node, SLOTS).await;
    let of = |number| leases.iter().find(|lease| lease.key.root == cid(number).root()).unwrap();
    fixture.block(&ada, Some("spam")).await;
    assert_eq!(fixture.news(of(0)).await, LeaseNews::Lost);
    assert_eq!(fixture.try_settle(of(0), pinned(1)).await, Err(StorageError::LeaseLost));
    assert!(matches!(fixture.news(of(1)).await, LeaseNews::Wanted { .. }), "bob waits for it");
    fixture.settle(of(1), pinned(1)).await;
    assert_eq!(fixture.count(&ada, Status::Pinned).await, 1);
}

/// Blocking an account that is blocked ends nothing, also not a fetch that it came to be the only one to want.
pub async fn a_second_block_ends_nothing(fixture: &Fixture) {
    let node = fixture.node(1).await;
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let wanted = fixture.add(&ada, 1).await;
    fixture.add(&bob, 1).await;
    let lease = fixture.lease_one(&node).await;
    fixture.block(&bob, Some("spam")).await;
    assert!(fixture.remove(&ada, &wanted.id).await);
    fixture.block(&bob, Some("more spam")).await;
    assert!(fixture.renew(&lease).await, "the fetch goes on");
}

/// A block ends a lease and leaves when its root is due as it was, also when the clock was put back meanwhile.
pub async fn a_block_moves_no_due(fixture: &Fixture) {
    let node = fixture.node(1).await;
    let ada = fixture.account("ada").await;
    let request = fixture.add(&ada, 1).await;
    let due = fixture.now();
    fixture.lease_one(&node).await;
    fixture.clock().put_back(Duration::from_hours(1));
    fixture.block(&ada, Some("spam")).await;
    assert_eq!(fixture.find(&ada, &request.id).await.root.due, Some(due));
}

/// Unblocking makes due at once, with a fresh time limit, what only blocked accounts wanted, and nothing else.
pub async fn unblocking_makes_roots_due(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let bob = fixture.account("bob").await;
    let node = fixture.node(1).await;
    add_roots(fixture, &ada, 0..3).await;
    add_roots(fixture, &bob, 2..3).await;
    let begin = fixture.now();
    for lease in fixture.lease(&node, SLOTS).await {
        fixture.settle(&lease, retry(fixture.now() + Duration::from_hours(1))).await;
    }
    fixture.block(&ada, Some("spam")).await;
    let unblocked = fixture.advance_secs(60);
    fixture.block(&ada, None).await;
    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!(numbers(&leases), [0, 1]);
    for lease in leases {
        assert_eq!((lease.account, lease.attempt, lease.wanted_since), (Some(ada), 2, unblocked));
    }
    fixture.block(&ada, None).await;
    fixture.advance(Duration::from_hours(1));
    fixture.beat(&node).await;
    let shared = fixture.lease(&node, SLOTS).await;
    let shared = shared.iter().find(|lease| lease.key.root == cid(2).root()).unwrap();
    assert_eq!(shared.wanted_since, begin);
}

/// The place in the queue is counted by account, from one, over distinct roots that are queued.
pub async fn places_are_counted_by_account(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    add_roots(fixture, &bob, 10..20).await;
    let mut requests = Vec::new();
    for number in [0, 0, 1, 2, 3] {
        fixture.advance_secs(1);
        requests.push(fixture.add(&ada, number).await);
    }
    let places = || async {
        let mut places = Vec::new();
        for request in &requests {
            places.push(fixture.find(&ada, &request.id).await.queue_position);
        }
        places
    };
    let at = |place| Some(QueuePosition::At(place));
    assert_eq!(places().await, [at(1), at(1), at(2), at(3), at(4)]);
    fixture.block(&bob, Some("spam")).await;
    let lease = fixture.lease(&node, 1).await.remove(0);
    assert_eq!(places().await, [None, None, at(1), at(2), at(3)]);
    fixture.settle(&lease, retry(fixture.now())).await;
    assert_eq!(places().await, [None, None, at(1), at(2), at(3)], "a retry is not queued");
}
