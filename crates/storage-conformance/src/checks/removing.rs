//! Removing requests: gone at once, the root released when its last request over all accounts is gone.

use std::time::Duration;

use pinrail_domain::{LeaseNews, LeaseTask, Verdict};
use pinrail_spec::Status;
use pinrail_storage::StorageError;

use crate::Fixture;
use crate::fixture::{LEASE, SLOTS};
use crate::samples::{everything, pinned, retry};

/// A request is removed once, and is gone from every answer.
pub async fn a_request_is_removed_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    assert!(fixture.remove(&ada, &request.id).await);
    assert_eq!(fixture.try_find(&ada, &request.id).await, None);
    assert_eq!(fixture.list(&ada, &everything()).await.count, 0);
    assert_eq!(fixture.usage(&ada).await, pinrail_domain::Usage::default());
    assert!(!fixture.remove(&ada, &request.id).await);
}

/// Of many removals of one request at once exactly one finds it, and so does one of many replaces.
pub async fn of_two_at_once_one_succeeds(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let removed = fixture.add(&ada, 1).await.id;
    let remove = || async { fixture.remove(&ada, &removed).await };
    let outcomes = tokio::join!(remove(), remove(), remove(), remove());
    let outcomes = [outcomes.0, outcomes.1, outcomes.2, outcomes.3];
    assert_eq!(outcomes.iter().filter(|found| **found).count(), 1, "{outcomes:?}");

    let replaced = fixture.add(&ada, 2).await.id;
    let replace = |number| async move {
        fixture.try_replace(&ada, &replaced, crate::samples::pin(number)).await.expect("it is judged").is_some()
    };
    let outcomes = tokio::join!(replace(3), replace(4), fixture.remove(&ada, &replaced), replace(5));
    let outcomes = [outcomes.0, outcomes.1, outcomes.2, outcomes.3];
    assert_eq!(outcomes.iter().filter(|found| **found).count(), 1, "{outcomes:?}");
    let left = u64::from(!outcomes[2]);
    assert_eq!((fixture.list(&ada, &everything()).await.count, fixture.usage(&ada).await.requests), (left, left));
}

/// The last request takes the root along: it is released once and then unknown.
pub async fn the_last_request_releases_the_root(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let first = fixture.add_pinned(&ada, &node, 1, 10).await;
    let second = fixture.add(&ada, 1).await;
    assert!(fixture.remove(&ada, &first.id).await);
    fixture.assert_nothing_due(&node).await;
    assert!(fixture.remove(&ada, &second.id).await);
    let release = fixture.lease_one(&node).await;
    assert_eq!((&release.task, release.account, release.attempt), (&LeaseTask::Release, None, 1));
    fixture.settle(&release, Verdict::Released).await;
    fixture.assert_nothing_due(&node).await;

    let anew = fixture.add(&ada, 1).await;
    assert_eq!((anew.status, anew.root.size), (Status::Queued, None));
}

/// A root stays while any account wants it.
pub async fn another_account_keeps_the_root(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    let of_ada = fixture.add_pinned(&ada, &node, 1, 10).await;
    let of_bob = fixture.add(&bob, 1).await;
    assert!(fixture.remove(&ada, &of_ada.id).await);
    fixture.assert_nothing_due(&node).await;
    assert_eq!(fixture.find(&bob, &of_bob.id).await.status, Status::Pinned);
    assert!(fixture.remove(&bob, &of_bob.id).await);
    fixture.assert_released(&node, &[1]).await;
}

/// Removing the last request cancels the fetch: whoever runs it has lost its lease.
pub async fn removing_cancels_the_fetch(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let fetch = fixture.lease_one(&node).await;
    assert!(matches!(fixture.news(&fetch).await, LeaseNews::Wanted { .. }));
    assert!(fixture.remove(&ada, &request.id).await);
    assert_eq!(fixture.news(&fetch).await, LeaseNews::Lost);
    assert!(!fixture.renew(&fetch).await);
    assert_eq!(fixture.try_settle(&fetch, pinned(10)).await, Err(StorageError::LeaseLost));

    let release = fixture.lease_one(&node).await;
    assert!(release.task == LeaseTask::Release && release.key.epoch > fetch.key.epoch);
    assert_eq!(fixture.try_settle(&fetch, Verdict::Released).await, Err(StorageError::LeaseLost));
    fixture.settle(&release, Verdict::Released).await;
}

/// A fetch that was cancelled and wanted again before anyone noticed belongs to a new lease, and not to the old one.
pub async fn wanted_again_is_a_new_lease(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let old = fixture.lease_one(&node).await;
    assert!(fixture.remove(&ada, &request.id).await);
    let again = fixture.add(&ada, 1).await;
    assert_eq!(again.status, Status::Queued);
    assert_eq!(fixture.news(&old).await, LeaseNews::Lost);
    let new = fixture.lease_one(&node).await;
    assert_eq!((&new.key.root, new.attempt), (&old.key.root, 1));
    assert!(new.key.epoch > old.key.epoch);
    assert_eq!(fixture.try_settle(&old, pinned(1)).await, Err(StorageError::LeaseLost));
    fixture.settle(&new, pinned(2)).await;
    assert_eq!(fixture.find(&ada, &again.id).await.root.size.unwrap().bytes, 2);
}

/// What a backend has released it refuses below that epoch: a root that is wanted again begins above it, also when the
/// machine's clock was put back meanwhile.
pub async fn an_epoch_outlives_its_row(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    fixture.advance(Duration::from_hours(2));
    fixture.beat(&node).await;
    let request = fixture.add_pinned(&ada, &node, 1, 10).await;
    assert!(fixture.remove(&ada, &request.id).await);
    let release = fixture.lease_one(&node).await;
    fixture.settle(&release, Verdict::Released).await;

    fixture.clock().put_back(Duration::from_hours(1));
    fixture.add(&ada, 1).await;
    // SQLite's own clock stays where it was.
    let now = fixture.storage.now().await.expect("it has a clock");
    let leases = fixture.storage.lease_due(&node, now, now + LEASE, 1, SLOTS).await.expect("roots are leased");
    let [lease] = &leases[..] else { panic!("one root is due: {leases:?}") };
    assert!(lease.key.epoch > release.key.epoch, "{} after {}", lease.key.epoch, release.key.epoch);
    fixture.settle(lease, pinned(10)).await;
}

/// A release that does not succeed is tried again, and pauses without losing an attempt.
pub async fn a_release_is_tried_again(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add_pinned(&ada, &node, 1, 10).await;
    assert!(fixture.remove(&ada, &request.id).await);
    let release = fixture.lease_one(&node).await;
    let due = fixture.now() + std::time::Duration::from_secs(10);
    fixture.settle(&release, retry(due)).await;
    fixture.assert_nothing_due(&node).await;
    fixture.advance_secs(10);
    let release = fixture.lease_one(&node).await;
    assert_eq!((&release.task, release.attempt), (&LeaseTask::Release, 2));
    fixture.settle(&release, Verdict::Pause { due, storage_full: false }).await;
    assert_eq!(fixture.lease_one(&node).await.attempt, 2);

    fixture.advance_secs(60);
    let release = fixture.lease_one(&node).await;
    assert_eq!(release.attempt, 3, "a release whose worker died is taken by the next");
    fixture.settle(&release, Verdict::Released).await;
    fixture.assert_nothing_due(&node).await;
}
