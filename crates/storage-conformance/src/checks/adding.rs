//! Accepting pin requests: what comes back, its `created`, and what it does to its root.

use std::collections::BTreeSet;
use std::time::Duration;

use pinrail_domain::{
    AccountId, DagSize, FailureReason, LeaseNews, LeaseTask, NewPinRequest, QueuePosition, RootState, Verdict,
};
use pinrail_spec::{Pin, RootKey, Status};
use pinrail_storage::StorageError;
use uuid::Uuid;

use crate::Fixture;
use crate::fixture::SLOTS;
use crate::samples::{
    address, cid, counted, everything, failed, failure, meta, parsed, pin, pin_of, pinned, retry, wait, with_origins,
};

/// A request comes back whole from the step that accepts it, from a look-up and from a list.
pub async fn a_request_comes_back_whole(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let sent = Pin {
        cid: parsed("zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA"),
        name: Some(" Straße 100% _\u{1F4CC} ".to_owned()),
        origins: vec![address(7), address(3)],
        meta: meta(&[("app_id", "58bb"), ("", "empty key"), ("empty value", ""), ("ключ", "значение")]),
    };
    let added = fixture.add_pin(&ada, sent.clone()).await;
    assert_eq!((added.account, added.created, added.status), (ada, fixture.now(), Status::Queued));
    assert_eq!((&added.pin, &added.delegates), (&sent, &vec![address(1)]));
    assert_eq!((added.root.state, added.root.attempts, added.root.size), (RootState::Queued, 0, None));
    assert_eq!((added.root.waiting, added.root.paused, added.root.node_silent), (false, false, false));
    assert_eq!((&added.root.failure, added.root.due, added.root.progress.bytes), (&None, None, 0));
    assert_eq!(added.queue_position, None, "left to the look-up");

    let mut found = fixture.find(&ada, &added.id).await;
    assert_eq!(found.queue_position.take(), Some(QueuePosition::At(1)));
    assert_eq!(found, added);
    assert_eq!(fixture.list(&ada, &everything()).await.requests, [added]);
}

/// `created` is unique in the account and rises by the millisecond, even when the clock stands still or a request is
/// gone; other accounts have their own.
pub async fn created_is_unique_and_rises(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    fixture.node(1).await;
    let begin = fixture.now();
    let created = |account: AccountId| async move { fixture.add(&account, 1).await.created.as_millis() };
    assert_eq!(created(ada).await, begin.as_millis());
    assert_eq!(created(ada).await, begin.as_millis() + 1);
    let last = fixture.add(&ada, 1).await;
    assert_eq!(last.created.as_millis(), begin.as_millis() + 2);
    assert!(fixture.remove(&ada, &last.id).await);
    assert_eq!(created(ada).await, begin.as_millis() + 3, "also of one that is gone");
    assert_eq!(created(bob).await, begin.as_millis());

    fixture.advance(Duration::from_millis(100));
    assert_eq!(created(ada).await, fixture.now().as_millis());
    let replaced = fixture.list(&ada, &everything()).await.requests.remove(0);
    let new = fixture.replace(&ada, &replaced.id, pin(2)).await;
    assert_eq!(new.created, replaced.created.next());
}

/// The same CID twice is two requests with two ids, and one root.
pub async fn the_same_cid_twice_is_two_requests(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let (first, second) = (fixture.add(&ada, 1).await, fixture.add(&ada, 1).await);
    assert_ne!(first.id, second.id);
    assert_eq!(fixture.list(&ada, &everything()).await.count, 2);
    fixture.pin_one(&node, 10).await;
    for request in [first, second] {
        assert_eq!(fixture.find(&ada, &request.id).await.status, Status::Pinned);
    }
}

/// Version 0 and 1 of a CID are one root, each echoed as it was sent; another codec is another root.
pub async fn versions_of_a_cid_are_one_root(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let v0 = parsed("QmYjtig7VJQ6XsnUjqqJvj7QaMcCAwtrgNdahSiFofrE7o");
    let v1 = parsed(&v0.to_v1_base32());
    let raw = parsed(&RootKey { codec: 0x55, ..v0.root() }.to_string());
    let requests = [
        fixture.add_pin(&ada, pin_of(v0.clone())).await,
        fixture.add_pin(&ada, pin_of(v1.clone())).await,
        fixture.add_pin(&ada, pin_of(raw.clone())).await,
    ];
    let leases = fixture.lease(&node, SLOTS).await;
    let roots = leases.iter().map(|lease| lease.key.root.clone()).collect::<BTreeSet<_>>();
    assert_eq!(roots, BTreeSet::from([v0.root(), raw.root()]));
    for (request, cid) in requests.iter().zip([v0, v1, raw]) {
        let text = fixture.find(&ada, &request.id).await.pin.cid.as_str().to_owned();
        assert_eq!(text, cid.as_str());
    }
    fixture.settle(leases.iter().find(|lease| lease.key.root == requests[0].pin.cid.root()).unwrap(), pinned(1)).await;
    let mut statuses = Vec::new();
    for request in &requests {
        statuses.push(fixture.find(&ada, &request.id).await.status);
    }
    assert_eq!(statuses, [Status::Pinned, Status::Pinned, Status::Pinning]);
}

/// On a pinned root the answer is `pinned`, whoever had it pinned, and nothing is fetched again.
pub async fn a_pinned_root_is_pinned_for_all(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    fixture.add_pinned(&ada, &node, 1, 10).await;
    let request = fixture.add(&bob, 1).await;
    assert_eq!((request.status, request.root.state), (Status::Pinned, RootState::Pinned));
    assert_eq!(request.root.size, Some(DagSize { blocks: 1, bytes: 10 }));
    assert_eq!(fixture.count(&bob, Status::Pinned).await, 1);
    assert_eq!(fixture.find(&bob, &request.id).await.queue_position, None);
    fixture.assert_nothing_due(&node).await;
}

/// On a root that is being fetched the answer is `pinning`, in lists too.
pub async fn a_running_root_is_pinning_for_all(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    fixture.add(&ada, 1).await;
    let lease = fixture.lease_one(&node).await;
    assert_eq!(fixture.add(&bob, 1).await.status, Status::Pinning);
    assert_eq!(fixture.count(&bob, Status::Pinning).await, 1);
    fixture.settle(&lease, pinned(10)).await;
    assert_eq!(fixture.count(&bob, Status::Pinned).await, 1);
}

/// A raw CID that holds its whole content is pinned by the step; one of another codec goes through the worker.
pub async fn a_whole_cid_is_pinned_at_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    for (text, bytes) in [("bafkqaaa", 0), ("f0155000668656c6c6f0a", 6)] {
        let request = fixture.add_pin(&ada, pin_of(parsed(text))).await;
        assert_eq!((request.status, request.root.size), (Status::Pinned, Some(DagSize { blocks: 1, bytes })), "{text}");
        assert_eq!(request.delegates, [address(1)]);
        assert_eq!(fixture.find(&ada, &request.id).await.status, Status::Pinned);
    }
    assert_eq!((fixture.count(&ada, Status::Pinned).await, fixture.usage(&ada).await.bytes), (2, counted(&[0, 6])));
    fixture.assert_nothing_due(&node).await;
    assert_eq!(fixture.add_pin(&ada, pin_of(parsed("f01700000"))).await.status, Status::Queued);

    let request = fixture.add_pin(&ada, pin_of(parsed("f01550001ff"))).await;
    assert!(fixture.remove(&ada, &request.id).await);
    let leases = fixture.lease(&node, SLOTS).await;
    let release = leases.iter().find(|lease| lease.task == LeaseTask::Release).expect("it is released as others are");
    assert_eq!(fixture.add_pin(&ada, pin_of(parsed("f01550001ff"))).await.status, Status::Pinned);
    assert_eq!(fixture.try_settle(release, Verdict::Released).await, Err(StorageError::LeaseLost));
}

/// A request on a failed root queues it for all its requests, with fresh attempts and a fresh time limit.
pub async fn a_failed_root_starts_afresh_for_all(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    let first = fixture.add(&ada, 1).await;
    let lease = fixture.lease_one(&node).await;
    fixture.report(&lease, 5).await;
    fixture.settle(&lease, failed()).await;
    let seen = fixture.find(&ada, &first.id).await;
    assert_eq!((seen.status, seen.root.failure), (Status::Failed, Some(failure(FailureReason::MalformedBlock))));
    assert_eq!(fixture.count(&ada, Status::Failed).await, 1);
    fixture.assert_nothing_due(&node).await;

    let wanted = fixture.advance_secs(3600);
    fixture.beat(&node).await;
    let second = fixture.add(&bob, 1).await;
    for (account, id) in [(ada, first.id), (bob, second.id)] {
        let seen = fixture.find(&account, &id).await;
        assert_eq!((seen.status, seen.root.attempts, seen.root.failure), (Status::Queued, 0, None));
        assert_eq!(seen.root.progress.bytes, 0);
        assert_eq!(fixture.count(&account, Status::Queued).await, 1);
    }
    let again = fixture.lease_one(&node).await;
    assert_eq!((again.attempt, again.wanted_since), (1, wanted));
    assert!(again.key.epoch > lease.key.epoch);
}

/// A request on a root that is being released queues it; the release in hand has lost its lease.
pub async fn a_root_that_is_released_is_wanted_again(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add_pinned(&ada, &node, 1, 10).await;
    assert!(fixture.remove(&ada, &request.id).await);
    let release = fixture.lease_one(&node).await;
    let wanted = fixture.advance_secs(1);
    let again = fixture.add(&ada, 1).await;
    assert_eq!((again.status, again.root.size), (Status::Queued, None), "a worker has to look first");
    assert_eq!(fixture.news(&release).await, LeaseNews::Lost);
    assert!(!fixture.renew(&release).await);

    let pin = fixture.lease_one(&node).await;
    assert_eq!(fixture.try_settle(&release, Verdict::Released).await, Err(StorageError::LeaseLost));
    assert_eq!((pin.attempt, pin.wanted_since), (1, wanted));
    assert!(matches!(pin.task, LeaseTask::Pin { .. }) && pin.key.epoch > release.key.epoch);
    fixture.settle(&pin, pinned(10)).await;
    assert_eq!(fixture.find(&ada, &again.id).await.status, Status::Pinned);
}

/// A further request makes an unfinished root due at once and no retry, but gives it no fresh attempts.
pub async fn a_further_request_hurries_a_root(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    fixture.add(&ada, 1).await;
    let first = fixture.lease_one(&node).await;
    fixture.settle(&first, retry(fixture.now() + Duration::from_hours(1))).await;
    fixture.assert_nothing_due(&node).await;

    fixture.advance_secs(10);
    assert_eq!(fixture.add_pin(&bob, with_origins(1, [7])).await.status, Status::Pinning);
    fixture.advance_secs(1);
    fixture.add(&ada, 2).await;
    let leases = fixture.lease_of(&node, 1, SLOTS).await;
    assert_eq!((&leases[0].key.root, leases[0].attempt), (&cid(1).root(), 2), "before what is fresh and due later");
    assert_eq!(leases[0].wanted_since, first.wanted_since);
    assert_eq!(leases[0].task, LeaseTask::Pin { origins: vec![address(7)], previous: None });

    fixture.settle(&leases[0], wait(fixture.now() + Duration::from_hours(1))).await;
    fixture.add(&bob, 1).await;
    assert_eq!(fixture.lease(&node, SLOTS).await.len(), 2, "one that waited for a source is looked at again too");
}

/// An id is taken once, whoever has it; the second request leaves nothing behind.
pub async fn an_id_is_taken_once(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let same = NewPinRequest { id: request.id, ..fixture.new_request(&bob, pin(2)) };
    let outcome = fixture.storage.add_pin_request(&same, fixture.now()).await;
    assert!(matches!(outcome, Err(StorageError::Conflict(_))), "{outcome:?}");
    assert_eq!(fixture.usage(&bob).await.requests, 0);
    assert_eq!(fixture.find(&ada, &request.id).await.pin.cid, cid(1));
}

/// An account that is not there has nothing and gets nothing.
pub async fn an_unknown_account_has_nothing(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let nobody = AccountId::from_uuid(Uuid::from_u128(77));
    let outcome = fixture.try_add(&nobody, pin(1)).await;
    assert!(matches!(outcome, Err(StorageError::Missing(_))), "{outcome:?}");
    assert_eq!(fixture.try_replace(&nobody, &request.id, pin(2)).await, Ok(None));
    assert_eq!(fixture.try_find(&nobody, &request.id).await, None);
    assert!(!fixture.remove(&nobody, &request.id).await);
    assert_eq!(fixture.list(&nobody, &everything()).await.count, 0);
}

/// A foreign id is as unknown as a made-up one, and nothing happens to its request.
pub async fn foreign_ids_are_unknown(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let made_up = fixture.new_request(&bob, pin(1)).id;
    for id in [request.id, made_up] {
        assert_eq!(fixture.try_find(&bob, &id).await, None);
        assert!(!fixture.remove(&bob, &id).await);
        assert_eq!(fixture.try_replace(&bob, &id, pin(2)).await, Ok(None));
    }
    assert_eq!(fixture.list(&bob, &everything()).await.count, 0);
    assert_eq!(fixture.usage(&bob).await.requests, 0);
    assert_eq!(fixture.find(&ada, &request.id).await.pin.cid, cid(1));
}
