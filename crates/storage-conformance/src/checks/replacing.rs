//! Replacing requests: whole, in one step, and the old data held until the new is there.

use std::time::Duration;

use pinrail_domain::{LeaseNews, LeaseTask};
use pinrail_spec::{Match, Pin, RootKey, Status};
use pinrail_storage::StorageError;

use crate::Fixture;
use crate::fixture::SLOTS;
use crate::samples::{
    address, by_name, cid, counted, everything, failed, meta, named, parsed, pin, pin_of, pinned, retry, with_meta,
    with_origins,
};

const DAY: Duration = Duration::from_hours(24);

fn previous(task: &LeaseTask) -> Option<RootKey> {
    match task {
        LeaseTask::Pin { previous, .. } => previous.clone(),
        LeaseTask::Release => panic!("it is to be pinned"),
    }
}

/// A replace is whole: new id, new fields, what was left out is gone, and so is the old request from every answer.
pub async fn a_replace_is_whole(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let sent = Pin { name: Some("old".to_owned()), origins: vec![address(7)], ..with_meta(1, &[("k", "v")]) };
    let old = fixture.add_pin(&ada, sent).await;
    let bare = fixture.replace(&ada, &old.id, pin(2)).await;
    assert_eq!((&bare.pin, bare.account, bare.status), (&pin(2), ada, Status::Queued));
    assert!(bare.id != old.id && bare.created > old.created);
    assert_eq!(fixture.try_find(&ada, &old.id).await, None);
    assert_eq!(fixture.list(&ada, &everything()).await.requests, std::slice::from_ref(&bare));
    assert!(!fixture.remove(&ada, &old.id).await);

    let sent = Pin {
        name: Some("new".to_owned()),
        origins: vec![address(8)],
        meta: meta(&[("app_id", "58bb")]),
        ..pin_of(parsed("QmYjtig7VJQ6XsnUjqqJvj7QaMcCAwtrgNdahSiFofrE7o"))
    };
    let full = fixture.replace(&ada, &bare.id, sent.clone()).await;
    assert_eq!(full.pin, sent);
    assert_eq!(fixture.list(&ada, &by_name("new", Match::Exact)).await.requests, [full]);
    assert_eq!((fixture.list(&ada, &everything()).await.count, fixture.usage(&ada).await.requests), (1, 1));
}

/// What is not there is not replaced, nothing is kept of the attempt, and no `created` is spent.
pub async fn what_is_gone_is_not_replaced(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let old = fixture.add(&ada, 1).await;
    let new = fixture.replace(&ada, &old.id, pin(2)).await;
    let made_up = fixture.new_request(&ada, pin(1)).id;
    for id in [old.id, made_up] {
        assert_eq!(fixture.try_replace(&ada, &id, pin(3)).await, Ok(None));
    }
    assert_eq!(fixture.list(&ada, &everything()).await.requests, [new]);
    assert_eq!(fixture.lease(&node, SLOTS).await.len(), 1, "neither the held root nor one that was refused");
}

/// The old root is held until the new one is pinned, and the worker is told of it.
pub async fn the_old_root_is_held_until_the_new_is_there(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let old = fixture.add_pinned(&ada, &node, 1, 10).await;
    fixture.replace(&ada, &old.id, pin(2)).await;
    let lease = fixture.lease_one(&node).await;
    assert_eq!((lease.key.root == cid(2).root(), previous(&lease.task)), (true, Some(cid(1).root())));
    fixture.settle(&lease, retry(fixture.now())).await;
    let lease = fixture.lease_one(&node).await;
    assert_eq!(previous(&lease.task), Some(cid(1).root()), "a retry is told too");
    fixture.settle(&lease, pinned(20)).await;
    fixture.assert_released(&node, &[1]).await;
    fixture.assert_nothing_due(&node).await;
}

/// Of A, replaced by B, replaced by C: A and B stay until C is there.
pub async fn a_chain_drops_nothing_before_its_end(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let a = fixture.add_pinned(&ada, &node, 1, 10).await;
    let b = fixture.replace(&ada, &a.id, pin(2)).await;
    let fetch_of_b = fixture.lease_one(&node).await;
    let c = fixture.replace(&ada, &b.id, pin(3)).await;
    assert_eq!(fixture.news(&fetch_of_b).await, LeaseNews::Lost, "nobody waits for B any more");

    let lease = fixture.lease_one(&node).await;
    assert_eq!((lease.key.root == cid(3).root(), previous(&lease.task)), (true, Some(cid(1).root())));
    fixture.settle(&lease, pinned(30)).await;
    assert_eq!(fixture.find(&ada, &c.id).await.status, Status::Pinned);
    fixture.assert_released(&node, &[1, 2]).await;
    fixture.assert_nothing_due(&node).await;
}

/// Deleting the new request ends what it holds, its inheritance too.
pub async fn deleting_the_new_request_ends_its_holds(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let a = fixture.add_pinned(&ada, &node, 1, 10).await;
    let b = fixture.replace(&ada, &a.id, pin(2)).await;
    let c = fixture.replace(&ada, &b.id, pin(3)).await;
    assert!(fixture.remove(&ada, &c.id).await);
    fixture.assert_released(&node, &[1, 2, 3]).await;
    fixture.assert_nothing_due(&node).await;
}

/// Another request on the new root does not end the hold of the first one's, nor does deleting that other.
pub async fn a_hold_belongs_to_its_request(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    let a = fixture.add_pinned(&ada, &node, 1, 10).await;
    let b = fixture.replace(&ada, &a.id, pin(2)).await;
    let other = fixture.add(&bob, 2).await;
    assert!(fixture.remove(&bob, &other.id).await);
    fixture.assert_released(&node, &[]).await;
    let other = fixture.add(&bob, 2).await;
    assert!(fixture.remove(&ada, &b.id).await);
    fixture.assert_released(&node, &[1]).await;
    fixture.pin_one(&node, 20).await;
    assert_eq!(fixture.find(&bob, &other.id).await.status, Status::Pinned);
}

/// A hold ends 24 hours after the new root failed; one that is wanted again in time holds on.
pub async fn a_hold_ends_a_day_after_a_failure(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    let old = fixture.add_pinned(&ada, &node, 1, 10).await;
    let new = fixture.replace(&ada, &old.id, pin(2)).await;
    let lease = fixture.lease_one(&node).await;
    assert_eq!((new.held_until, fixture.find(&ada, &new.id).await.held_until), (None, None), "it may still succeed");
    fixture.settle(&lease, failed()).await;
    let ends = Some(fixture.now() + DAY);
    assert_eq!(fixture.find(&ada, &new.id).await.held_until, ends);
    assert_eq!(fixture.list(&ada, &everything()).await.requests[0].held_until, ends);

    fixture.advance_almost(DAY);
    fixture.beat(&node).await;
    assert_eq!(fixture.storage.expire_holds(fixture.now()).await.unwrap(), 0);
    fixture.assert_nothing_due(&node).await;
    fixture.add(&bob, 2).await;
    fixture.advance_secs(1);
    assert_eq!(fixture.storage.expire_holds(fixture.now()).await.unwrap(), 0, "it is tried again");
    assert_eq!(fixture.find(&ada, &new.id).await.held_until, None);

    let lease = fixture.lease_one(&node).await;
    fixture.settle(&lease, failed()).await;
    fixture.advance(DAY);
    fixture.beat(&node).await;
    assert_eq!(fixture.storage.expire_holds(fixture.now()).await.unwrap(), 1);
    assert_eq!(fixture.storage.expire_holds(fixture.now()).await.unwrap(), 0);
    assert_eq!(fixture.find(&ada, &new.id).await.held_until, None, "it is held no more");
    fixture.assert_released(&node, &[1]).await;
}

/// A further replace of what failed inherits the hold, which then waits for the newest.
pub async fn a_replace_after_a_failure_inherits(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let a = fixture.add_pinned(&ada, &node, 1, 10).await;
    let b = fixture.replace(&ada, &a.id, pin(2)).await;
    let lease = fixture.lease_one(&node).await;
    fixture.settle(&lease, failed()).await;
    fixture.replace(&ada, &b.id, pin(3)).await;
    fixture.advance(DAY + DAY);
    fixture.beat(&node).await;
    assert_eq!(fixture.storage.expire_holds(fixture.now()).await.unwrap(), 0);
    let lease = fixture.lease_one(&node).await;
    assert_eq!(previous(&lease.task), Some(cid(1).root()));
    fixture.settle(&lease, pinned(30)).await;
    fixture.assert_released(&node, &[1, 2]).await;
}

/// An unfinished root that is replaced is fetched no more, but kept for what the new one may share with it.
pub async fn a_held_root_is_fetched_no_more(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let old = fixture.add(&ada, 1).await;
    let fetch = fixture.lease_one(&node).await;
    fixture.report(&fetch, 5).await;
    fixture.replace(&ada, &old.id, pin(2)).await;
    assert_eq!(fixture.news(&fetch).await, LeaseNews::Lost);
    assert_eq!(fixture.try_settle(&fetch, pinned(10)).await, Err(StorageError::LeaseLost));
    let usage = fixture.usage(&ada).await;
    assert_eq!(
        (usage.requests, usage.queued_roots, usage.bytes),
        (1, 1, counted(&[5])),
        "what is held counts in bytes alone"
    );

    let lease = fixture.lease_one(&node).await;
    assert_eq!((lease.key.root == cid(2).root(), previous(&lease.task)), (true, None), "only what is whole is told");
    fixture.settle(&lease, pinned(20)).await;
    fixture.assert_released(&node, &[1]).await;
}

/// A held root that a request wants again is wanted afresh if it was not whole, and pinned if it was.
pub async fn a_held_root_can_be_wanted_again(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    let whole = fixture.add_pinned(&ada, &node, 1, 10).await;
    let begun = fixture.add(&ada, 2).await;
    let fetch = fixture.lease_one(&node).await;
    fixture.settle(&fetch, retry(fixture.now() + DAY)).await;
    let first = fixture.replace(&ada, &whole.id, pin(3)).await;
    let second = fixture.replace(&ada, &begun.id, pin(3)).await;

    assert_eq!(fixture.add(&bob, 1).await.status, Status::Pinned);
    let wanted = fixture.advance_secs(1);
    let again = fixture.add(&bob, 2).await;
    assert_eq!((again.status, again.root.attempts, again.root.failure), (Status::Queued, 0, None));
    for lease in fixture.lease(&node, SLOTS).await {
        if lease.key.root == cid(2).root() {
            assert_eq!((lease.attempt, lease.wanted_since), (1, wanted));
        }
        fixture.settle(&lease, pinned(20)).await;
    }
    fixture.assert_nothing_due(&node).await;
    for request in [first, second] {
        assert!(fixture.remove(&ada, &request.id).await);
    }
    fixture.assert_released(&node, &[3]).await;
}

/// A replace by what is pinned already lets the old root go in the same step.
pub async fn a_replace_by_what_is_there_holds_nothing(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let a = fixture.add_pinned(&ada, &node, 1, 10).await;
    fixture.add_pinned(&ada, &node, 2, 10).await;
    let b = fixture.replace(&ada, &a.id, pin(3)).await;
    let c = fixture.replace(&ada, &b.id, pin(2)).await;
    assert_eq!(c.status, Status::Pinned);
    fixture.assert_released(&node, &[1, 3]).await;
    fixture.assert_nothing_due(&node).await;

    let whole = fixture.replace(&ada, &c.id, pin_of(parsed("bafkqaaa"))).await;
    assert_eq!(whole.status, Status::Pinned);
    fixture.assert_released(&node, &[]).await;
}

/// A replace by the same CID gives a new id and unpins nothing, whether it is pinned, being fetched, or failed.
pub async fn the_same_cid_is_replaced_without_unpin(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let whole = fixture.add_pinned(&ada, &node, 1, 10).await;
    let renamed = fixture.replace(&ada, &whole.id, named(1, "new name")).await;
    assert_eq!((renamed.status, renamed.id == whole.id), (Status::Pinned, false));
    fixture.assert_nothing_due(&node).await;

    let begun = fixture.add_pin(&ada, with_origins(2, [7])).await;
    let fetch = fixture.lease_one(&node).await;
    let again = fixture.replace(&ada, &begun.id, with_origins(2, [8])).await;
    assert_eq!(again.status, Status::Pinning);
    assert_eq!(fixture.news(&fetch).await, LeaseNews::Wanted { origins: vec![address(8)] });
    fixture.settle(&fetch, failed()).await;
    let afresh = fixture.replace(&ada, &again.id, pin(2)).await;
    assert_eq!((afresh.status, afresh.root.attempts), (Status::Queued, 0));
    fixture.pin_one(&node, 10).await;
    fixture.assert_nothing_due(&node).await;
    assert_eq!(
        (fixture.list(&ada, &everything()).await.count, fixture.usage(&ada).await.bytes),
        (2, counted(&[10, 10]) + 8)
    );
}

/// From A to B and back to A before B is there: A never goes, B does.
pub async fn back_to_the_first_keeps_it(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let a = fixture.add_pinned(&ada, &node, 1, 10).await;
    let b = fixture.replace(&ada, &a.id, pin(2)).await;
    let back = fixture.replace(&ada, &b.id, pin(1)).await;
    assert_eq!(back.status, Status::Pinned);
    fixture.assert_released(&node, &[2]).await;
    assert!(fixture.remove(&ada, &back.id).await);
    fixture.assert_released(&node, &[1]).await;

    let a = fixture.add(&ada, 4).await;
    let b = fixture.replace(&ada, &a.id, pin(5)).await;
    let back = fixture.replace(&ada, &b.id, pin(4)).await;
    let c = fixture.replace(&ada, &back.id, pin(6)).await;
    fixture.assert_released(&node, &[]).await;
    assert!(fixture.remove(&ada, &c.id).await);
    fixture.assert_released(&node, &[4, 5, 6]).await;
}

/// A new root goes to the old root's node, whatever its load, unless that is silent.
pub async fn the_new_root_goes_to_the_old_ones_node(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let first = fixture.node(1).await;
    let old = fixture.add_pinned(&ada, &first, 1, 10).await;
    fixture.add(&ada, 2).await;
    let second = fixture.node(2).await;
    let new = fixture.replace(&ada, &old.id, pin(3)).await;
    assert_eq!(new.delegates, [address(1)]);
    fixture.advance_secs(300);
    fixture.beat(&second).await;
    let elsewhere = fixture.replace(&ada, &new.id, pin(4)).await;
    assert_eq!(elsewhere.delegates, [address(2)]);
    let leases = fixture.lease(&second, SLOTS).await;
    let lease = leases.iter().find(|lease| lease.key.root == cid(4).root()).unwrap();
    assert_eq!(previous(&lease.task), None, "the old root is on another node");
}

/// Everybody else's requests keep the old root, and their holds are their own.
pub async fn a_replace_leaves_others_alone(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    let of_ada = fixture.add_pinned(&ada, &node, 1, 10).await;
    let of_bob = fixture.add(&bob, 1).await;
    fixture.replace(&ada, &of_ada.id, pin(2)).await;
    fixture.replace(&bob, &of_bob.id, pin(3)).await;
    let leases = fixture.lease(&node, SLOTS).await;
    let of = |number| leases.iter().find(|lease| lease.key.root == cid(number).root()).unwrap();
    fixture.settle(of(2), pinned(20)).await;
    fixture.assert_released(&node, &[]).await;
    fixture.settle(of(3), pinned(30)).await;
    fixture.assert_released(&node, &[1]).await;
}
