//! Roots that nobody connected has: they give up their slot, stay `pinning`, and are woken by a peer.

use std::time::Duration;

use pinrail_domain::{FailureReason, QueuePosition};
use pinrail_spec::{RootKey, Status};

use crate::Fixture;
use crate::fixture::SLOTS;
use crate::samples::{cid, failure, pinned, retry, wait};

const HOUR: Duration = Duration::from_hours(1);

async fn waiting(fixture: &Fixture, node: &pinrail_domain::NodeId) -> Vec<RootKey> {
    fixture.storage.list_waiting(node, None, 1000).await.unwrap()
}

/// A waiting root says so and spends no attempt; it is tried again when it is due.
pub async fn a_waiting_root_spends_no_attempt(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let first = fixture.lease_one(&node).await;
    let due = fixture.now() + HOUR;
    fixture.settle(&first, wait(due)).await;
    let seen = fixture.find(&ada, &request.id).await;
    assert_eq!((seen.status, seen.root.attempts, seen.root.waiting), (Status::Pinning, 0, true));
    assert_eq!((seen.root.due, seen.root.failure), (Some(due), Some(failure(FailureReason::NoProviderFound))));
    assert_eq!(fixture.usage(&ada).await.queued_roots, 1);
    assert_eq!(waiting(fixture, &node).await, [cid(1).root()]);

    fixture.advance(HOUR);
    fixture.beat(&node).await;
    let second = fixture.lease_one(&node).await;
    assert_eq!((second.attempt, second.wanted_since), (1, first.wanted_since));
    assert!(!fixture.find(&ada, &request.id).await.root.waiting);
    assert_eq!(waiting(fixture, &node).await, []);
}

/// A request that comes while its root is leased may name the origin that the attempt did not ask: the root is due again
/// as soon as the attempt is settled, whether it is to wait or to be retried.
pub async fn a_request_during_an_attempt_is_not_kept_waiting(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    fixture.add(&ada, 1).await;
    let mut lease = fixture.lease_one(&node).await;
    for verdict in [wait(fixture.now() + HOUR), retry(fixture.now() + HOUR)] {
        fixture.add(&ada, 1).await;
        fixture.settle(&lease, verdict).await;
        lease = fixture.lease_one(&node).await;
        assert_eq!(lease.key.root, cid(1).root());
    }
    fixture.settle(&lease, wait(fixture.now() + HOUR)).await;
    fixture.assert_nothing_due(&node).await;
}

/// A woken root is due at once and goes with the fresh ones; what does not wait is not woken.
pub async fn a_woken_root_is_due_at_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let (node, other) = (fixture.node(1).await, fixture.node(2).await);
    for number in [1, 3] {
        fixture.add(&ada, number).await;
        fixture.add(&ada, 100 + number).await;
    }
    let leases = fixture.lease(&node, SLOTS).await;
    for lease in &leases {
        fixture.settle(lease, wait(fixture.now() + HOUR)).await;
    }
    let of_other = fixture.lease(&other, SLOTS).await;
    assert_eq!((leases.len(), of_other.len()), (2, 2));

    let woken = [cid(1).root(), cid(101).root(), cid(77).root()];
    fixture.storage.wake(&other, &woken, fixture.now()).await.unwrap();
    fixture.assert_nothing_due(&node).await;
    let now = fixture.advance_secs(1);
    fixture.storage.wake(&node, &woken, now).await.unwrap();
    assert_eq!(waiting(fixture, &node).await, [cid(3).root()]);
    fixture.advance_secs(1);
    fixture.add(&ada, 5).await;
    let leases = fixture.lease(&node, 1).await;
    assert_eq!(leases[0].key.root, cid(1).root(), "it was due before the one that came later");
    fixture.settle(&leases[0], pinned(1)).await;
    assert_eq!(fixture.lease_one(&node).await.key.root, cid(5).root());
    fixture.storage.wake(&node, &[], now).await.unwrap();
}

/// Waiting roots hold no slot: while a thousand wait, what comes is fetched, and what is fresh goes first.
pub async fn waiting_roots_hold_no_slot(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    for number in 0..100 {
        fixture.add(&ada, number).await;
    }
    loop {
        let leases = fixture.lease_of(&node, 4, 4).await;
        if leases.is_empty() {
            break;
        }
        assert!(leases.len() <= 3, "the last quarter is nobody's");
        for lease in leases {
            fixture.settle(&lease, wait(fixture.now().next())).await;
        }
    }
    fixture.advance_secs(10);
    let request = fixture.add(&ada, 1_000).await;
    assert_eq!(fixture.find(&ada, &request.id).await.queue_position, Some(QueuePosition::At(1)));
    let leases = fixture.lease_of(&node, 1, 4).await;
    assert_eq!(leases[0].key.root, cid(1_000).root(), "before a hundred that were due before it");
    assert_eq!(fixture.lease_of(&node, 4, 4).await.len(), 2, "then they are asked for in rotation");
}

/// Waiting roots are listed page after page, those of the node alone, and what nobody wants waits no more.
pub async fn waiting_roots_are_listed_in_order(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let (node, other) = (fixture.node(1).await, fixture.node(2).await);
    let mut requests = Vec::new();
    for number in 0..14 {
        requests.push(fixture.add(&ada, number).await);
    }
    for node in [&node, &other] {
        for lease in fixture.lease(node, SLOTS).await {
            fixture.settle(&lease, wait(fixture.now() + HOUR)).await;
        }
    }
    let mut listed = Vec::new();
    loop {
        let page = fixture.storage.list_waiting(&node, listed.last(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        listed.extend(page);
    }
    let wanted = (0..14).step_by(2).map(|number| cid(number).root()).collect::<Vec<_>>();
    assert_eq!(listed, wanted);

    assert!(fixture.remove(&ada, &requests[0].id).await);
    fixture.replace(&ada, &requests[2].id, crate::samples::pin(99)).await;
    assert_eq!(waiting(fixture, &node).await, wanted[2..], "neither the removed nor the held one");
}
