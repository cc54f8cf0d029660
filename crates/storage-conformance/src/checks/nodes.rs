//! Nodes: who gets a root, and what becomes of it when its node falls silent, restarts or is retired.

use std::time::Duration;

use pinrail_domain::{LeaseKey, LeaseNews, LeaseTask, NodeId, QueuePosition, Verdict};
use pinrail_spec::Status;
use pinrail_storage::{NodeRegistration, StorageError};
use uuid::Uuid;

use crate::Fixture;
use crate::fixture::SLOTS;
use crate::samples::{address, everything, pin, pinned, registration, retry};

/// Longer than a node may be silent.
const TOO_LONG: u64 = 300;

async fn loads(fixture: &Fixture) -> Vec<u64> {
    fixture.storage.list_nodes().await.unwrap().into_iter().map(|node| node.load).collect()
}

/// A node is listed as it registered last; a beat and new addresses are signs of life of a known one alone.
pub async fn a_node_is_registered_and_heard(fixture: &Fixture) {
    let second = fixture.node(2).await;
    let first = fixture.node(1).await;
    let listed = fixture.storage.list_nodes().await.unwrap();
    assert_eq!(listed.iter().map(|node| node.id).collect::<Vec<_>>(), [first, second], "in the order of their ids");
    assert_eq!((listed[0].peer_id.as_str(), listed[0].retired, listed[0].load), ("peer 1", false, 0));
    assert_eq!((&listed[0].addresses, listed[0].heartbeat), (&vec![address(1)], fixture.now()));

    let heard = fixture.advance_secs(10);
    fixture.beat(&first).await;
    let moved = fixture.advance_secs(10);
    fixture.storage.set_addresses(&second, &[address(22), address(23)], moved).await.unwrap();
    let listed = fixture.storage.list_nodes().await.unwrap();
    assert_eq!((listed[0].heartbeat, listed[1].heartbeat), (heard, moved));
    assert_eq!((&listed[0].addresses, &listed[1].addresses), (&vec![address(1)], &vec![address(22), address(23)]));

    let again = NodeRegistration { peer_id: "another".to_owned(), ..registration(1) };
    fixture.storage.register_node(&again, fixture.advance_secs(1)).await.unwrap();
    let listed = fixture.storage.list_nodes().await.unwrap();
    assert_eq!((listed.len(), listed[0].peer_id.as_str(), listed[0].heartbeat), (2, "another", fixture.now()));

    let unknown = NodeId::from_uuid(Uuid::from_u128(9));
    for outcome in [
        fixture.storage.beat(&unknown, fixture.now()).await,
        fixture.storage.set_addresses(&unknown, &[address(9)], fixture.now()).await,
        fixture.storage.retire_node(&unknown, fixture.now()).await,
    ] {
        assert!(matches!(outcome, Err(StorageError::Missing(_))), "{outcome:?}");
    }
    assert_eq!(fixture.lease(&unknown, SLOTS).await, []);
}

/// Before any node registered nothing is accepted, and nothing is kept of what was refused.
pub async fn without_a_node_nothing_is_accepted(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    assert_eq!(fixture.try_add(&ada, pin(1)).await, Err(StorageError::NoNode));
    assert_eq!((fixture.list(&ada, &everything()).await.count, fixture.usage(&ada).await.requests), (0, 0));
    let node = fixture.node(1).await;
    fixture.assert_nothing_due(&node).await;
    fixture.add(&ada, 1).await;
    fixture.storage.retire_node(&node, fixture.now()).await.unwrap();
    assert_eq!(fixture.try_add(&ada, pin(2)).await, Err(StorageError::NoNode));
}

/// A new root goes to the live node with the least unfinished roots, and only that one leases it.
pub async fn a_new_root_goes_to_the_least_loaded_node(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let (first, second) = (fixture.node(1).await, fixture.node(2).await);
    let request = fixture.add(&ada, 1).await;
    assert_eq!(request.delegates, [address(1)], "of two alike the least id");
    assert_eq!(fixture.add(&ada, 2).await.delegates, [address(2)]);
    assert_eq!(fixture.add(&ada, 1).await.delegates, [address(1)], "a root keeps its node");
    assert_eq!(loads(fixture).await, [1, 1]);

    fixture.pin_one(&first, 10).await;
    assert_eq!(loads(fixture).await, [0, 1]);
    assert_eq!(fixture.add(&ada, 3).await.delegates, [address(1)]);
    assert_eq!(fixture.lease(&first, SLOTS).await.len(), 1);
    assert_eq!(fixture.lease(&second, SLOTS).await.len(), 1);
    assert_eq!(loads(fixture).await, [1, 1], "a root that is being fetched is unfinished");
}

/// A client is given at most four addresses, the best first.
pub async fn delegates_are_at_most_four(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let addresses = (1..=6).map(address).collect::<Vec<_>>();
    let node = NodeRegistration { addresses: addresses.clone(), ..registration(1) };
    fixture.storage.register_node(&node, fixture.now()).await.unwrap();
    let request = fixture.add(&ada, 1).await;
    assert_eq!(request.delegates, addresses[..4]);
    assert_eq!(fixture.find(&ada, &request.id).await.delegates, addresses[..4]);
    assert_eq!(fixture.list(&ada, &everything()).await.requests[0].delegates, addresses[..4]);
}

/// After five minutes of silence a node gets no new roots; when all are silent the one heard of last does.
pub async fn a_silent_node_gets_no_new_roots(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    fixture.advance_secs(1);
    let second = fixture.node(2).await;
    fixture.advance(Duration::from_millis(TOO_LONG * 1000 - 1001));
    assert_eq!(fixture.add(&ada, 1).await.delegates, [address(1)], "a moment before it is too long");
    fixture.advance(Duration::from_millis(1));
    fixture.beat(&second).await;
    assert_eq!(fixture.add(&ada, 2).await.delegates, [address(2)]);
    assert_eq!(fixture.add(&ada, 3).await.delegates, [address(2)], "whatever its load");

    fixture.advance_secs(TOO_LONG);
    assert_eq!(fixture.add(&ada, 4).await.delegates, [address(2)], "the last known addresses, when all are silent");
}

/// Unfinished roots of a silent node are leased by another, once its own leases are over, and then belong to that.
pub async fn unfinished_roots_leave_a_silent_node(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let first = fixture.node(1).await;
    let (queued, begun) = (fixture.add(&ada, 1).await, fixture.add(&ada, 2).await);
    let second = fixture.node(2).await;
    let lease = fixture.lease_of(&first, 2, SLOTS).await.pop().unwrap();
    let other = fixture.lease(&first, SLOTS).await;
    assert_eq!(other, [], "both are leased");

    fixture.advance_secs(TOO_LONG);
    fixture.beat(&second).await;
    assert!(fixture.renew(&lease).await, "the worker lives, though its node was not heard");
    let taken = fixture.lease_one(&second).await;
    assert_ne!(taken.key.root, lease.key.root, "a lease that stands is not taken");
    assert_eq!(fixture.find(&ada, &queued.id).await.delegates, [address(2)]);
    assert_eq!(fixture.find(&ada, &begun.id).await.delegates, [address(1)]);

    fixture.beat(&first).await;
    fixture.settle(&lease, retry(fixture.now())).await;
    let again = fixture.lease_one(&first).await;
    assert_eq!(again.key.root, lease.key.root, "a node that is heard again keeps its roots");
}

/// A new request moves a root that waits for a silent node to a live one at once: its delegates must answer.
pub async fn a_new_request_moves_a_root_from_a_silent_node(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let first = fixture.node(1).await;
    fixture.add(&ada, 1).await;
    let stale = fixture.lease_one(&first).await;
    fixture.advance_secs(TOO_LONG);
    let second = fixture.node(2).await;
    assert_eq!(fixture.add(&ada, 1).await.delegates, [address(2)]);
    assert_eq!(fixture.news(&stale).await, LeaseNews::Lost);
    fixture.beat(&first).await;
    fixture.assert_nothing_due(&first).await;
    assert_eq!(fixture.lease(&second, SLOTS).await.len(), 1);
}

/// What a silent node holds stays pinned, and says so.
pub async fn pinned_roots_of_a_silent_node_say_so(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let first = fixture.node(1).await;
    let request = fixture.add_pinned(&ada, &first, 1, 10).await;
    assert!(!request.root.node_silent);
    fixture.advance_secs(TOO_LONG);
    let second = fixture.node(2).await;
    let silent = fixture.find(&ada, &request.id).await;
    assert_eq!((silent.status, silent.root.node_silent), (Status::Pinned, true));
    assert!(fixture.list(&ada, &everything()).await.requests[0].root.node_silent);
    let again = fixture.add(&ada, 1).await;
    assert_eq!((again.status, again.delegates), (Status::Pinned, vec![address(1)]));
    fixture.assert_nothing_due(&second).await;
    fixture.beat(&first).await;
    assert!(!fixture.find(&ada, &request.id).await.root.node_silent);
}

/// An unpin reaches every node that ever fetched the root, one after another.
pub async fn an_unpin_reaches_every_copy(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let first = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    fixture.lease_one(&first).await;
    fixture.advance_secs(TOO_LONG);
    let second = fixture.node(2).await;
    fixture.pin_one(&second, 10).await;
    fixture.beat(&first).await;
    assert!(fixture.remove(&ada, &request.id).await);

    fixture.assert_nothing_due(&first).await;
    fixture.assert_released(&second, &[1]).await;
    fixture.assert_nothing_due(&second).await;
    fixture.assert_released(&first, &[1]).await;
    fixture.assert_nothing_due(&first).await;
    fixture.assert_nothing_due(&second).await;
}

/// A node that restarts does not wait for the leases of its earlier life; their attempts stay counted.
pub async fn a_restart_ends_leases(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let (first, second) = (fixture.node(1).await, fixture.node(2).await);
    let request = fixture.add(&ada, 1).await;
    fixture.add(&ada, 2).await;
    let (old, other) = (fixture.lease_one(&first).await, fixture.lease_one(&second).await);
    fixture.storage.set_addresses(&first, &[address(11)], fixture.now()).await.unwrap();
    assert!(matches!(fixture.news(&old).await, LeaseNews::Wanted { .. }), "a change of address ends nothing");

    fixture.node(1).await;
    assert_eq!(fixture.news(&old).await, LeaseNews::Lost);
    assert!(!fixture.renew(&old).await);
    assert!(matches!(fixture.news(&other).await, LeaseNews::Wanted { .. }), "another node's go on");
    let new = fixture.lease_one(&first).await;
    assert_eq!((new.attempt, new.key.root == old.key.root), (2, true));
    assert_eq!(fixture.try_settle(&old, pinned(10)).await, Err(StorageError::LeaseLost));
    fixture.settle(&new, pinned(10)).await;
    assert_eq!(fixture.find(&ada, &request.id).await.status, Status::Pinned);
}

/// Retiring a node gives its unfinished roots to others, and queues what only it held again.
pub async fn a_retired_node_gives_everything_up(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let first = fixture.node(1).await;
    let whole = fixture.add_pinned(&ada, &first, 1, 10).await;
    let begun = fixture.add(&ada, 2).await;
    let lease = fixture.lease_one(&first).await;
    let gone = fixture.add_pinned(&ada, &first, 3, 10).await;
    assert!(fixture.remove(&ada, &gone.id).await);
    let second = fixture.node(2).await;
    let retired = fixture.advance_secs(1);
    fixture.storage.retire_node(&first, retired).await.unwrap();

    assert_eq!(fixture.news(&lease).await, LeaseNews::Lost);
    let queued = fixture.find(&ada, &whole.id).await;
    assert_eq!((queued.status, queued.queue_position), (Status::Queued, Some(QueuePosition::At(1))));
    assert_eq!((queued.root.attempts, queued.root.size, queued.root.progress.bytes), (0, None, 0));
    assert_eq!((fixture.count(&ada, Status::Pinned).await, fixture.usage(&ada).await.bytes), (0, 0));

    fixture.node(1).await;
    assert!(fixture.storage.list_nodes().await.unwrap()[0].retired, "it stays retired");
    fixture.assert_nothing_due(&first).await;
    let leases = fixture.lease(&second, SLOTS).await;
    assert_eq!(leases.len(), 2, "there is nothing to release on a node that is gone: {leases:?}");
    for lease in leases {
        assert!(matches!(lease.task, LeaseTask::Pin { .. }));
        fixture.settle(&lease, pinned(10)).await;
    }
    for request in [whole, begun] {
        let now = fixture.find(&ada, &request.id).await;
        assert_eq!((now.status, now.delegates), (Status::Pinned, vec![address(2)]));
    }
    let lease = fixture.add(&ada, 4).await;
    assert_eq!(lease.delegates, [address(2)]);
}

/// Of several copies those on retired nodes need no release.
pub async fn copies_on_retired_nodes_need_no_release(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let first = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    fixture.lease_one(&first).await;
    let second = fixture.node(2).await;
    fixture.storage.retire_node(&first, fixture.now()).await.unwrap();
    fixture.pin_one(&second, 10).await;
    assert!(fixture.remove(&ada, &request.id).await);
    let release = fixture.lease_one(&second).await;
    fixture.settle(&release, Verdict::Released).await;
    fixture.assert_nothing_due(&second).await;
    fixture.advance(Duration::from_millis(1));
    let anew = fixture.add(&ada, 1).await;
    assert_eq!((anew.status, anew.root.attempts), (Status::Queued, 0));
    let lease = fixture.lease_one(&second).await;
    assert_eq!(lease.key.epoch, LeaseKey::epoch_before(fixture.now()) + 2, "the row was made anew");
    assert!(lease.key.epoch > release.key.epoch, "an epoch outlives its row");
}

/// A root that becomes unwanted while it is still a retired node's is released by another, from every copy.
pub async fn what_is_unwanted_on_a_retired_node_is_released(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let first = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let begun = fixture.lease_one(&first).await;
    fixture.advance_secs(TOO_LONG);
    let second = fixture.node(2).await;
    fixture.pin_one(&second, 10).await;
    fixture.beat(&first).await;
    fixture.storage.retire_node(&second, fixture.now()).await.unwrap();
    assert!(fixture.remove(&ada, &request.id).await);
    fixture.assert_released(&first, &[1]).await;
    fixture.assert_nothing_due(&first).await;
    let anew = fixture.add(&ada, 1).await;
    assert_eq!((anew.status, anew.delegates), (Status::Queued, vec![address(1)]));
    let lease = fixture.lease_one(&first).await;
    assert_eq!((lease.attempt, lease.key.epoch > begun.key.epoch), (1, true));
}
