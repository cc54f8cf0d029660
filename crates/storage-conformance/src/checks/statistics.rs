//! What a monitoring system is told: counts, and what has been due for longest.

use std::time::Duration;

use pinrail_storage::{LongestDue, Statistics};

use crate::Fixture;
use crate::samples::{failed, retry, wait};

async fn statistics(fixture: &Fixture) -> Statistics {
    let statistics = fixture.storage.statistics(fixture.now()).await.unwrap();
    Statistics { bytes: 0, ..statistics }
}

/// Requests are counted by status, whoever's they are, and roots by how they stand.
pub async fn requests_and_roots_are_counted(fixture: &Fixture) {
    assert_eq!(statistics(fixture).await, Statistics::default());
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    let gone = fixture.add(&ada, 1).await;
    fixture.pin_one(&node, 10).await;
    for number in 2..=5 {
        fixture.add(&ada, number).await;
    }
    let shared = fixture.add(&bob, 1).await;
    fixture.add(&bob, 5).await;
    let leases = fixture.lease(&node, 3).await;
    let later = fixture.now() + Duration::from_mins(10);
    fixture.settle(&leases[0], failed()).await;
    fixture.settle(&leases[1], wait(later)).await;
    let seen = statistics(fixture).await;
    assert_eq!((seen.unfinished, seen.leased, seen.waiting, seen.releasing), (3, 1, 1, 0), "{seen:?}");
    let [queued, pinning, pinned, failed] = seen.requests;
    assert_eq!((queued + pinning + failed, pinned), (5, 2), "{seen:?}");
    assert!(failed > 0 && pinning > 0, "{seen:?}");
    assert!(fixture.remove(&ada, &gone.id).await);
    assert_eq!(statistics(fixture).await.releasing, 0, "another account wants it");
    assert!(fixture.remove(&bob, &shared.id).await);
    let seen = statistics(fixture).await;
    assert_eq!((seen.releasing, seen.requests[2]), (1, 0), "{seen:?}");
}

/// The longest due root is told by what is to be done; leased roots and those of blocked accounts are not due.
pub async fn the_longest_due_root_is_told(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    fixture.add(&ada, 1).await;
    let [lease] = &fixture.lease(&node, 1).await[..] else { panic!("it is due") };
    assert_eq!(statistics(fixture).await.longest_due, LongestDue::default(), "it is leased");
    let again = fixture.now() + Duration::from_secs(5);
    fixture.settle(lease, retry(again)).await;
    assert_eq!(statistics(fixture).await.longest_due, LongestDue::default(), "it is not due yet");
    let first = fixture.advance_secs(10);
    fixture.add(&bob, 2).await;
    fixture.advance_secs(10);
    fixture.add(&bob, 3).await;
    fixture.add(&ada, 4).await;
    let wanted = LongestDue { queued: Some(first), pinning: None, retry: Some(again) };
    assert_eq!(statistics(fixture).await.longest_due, wanted);
    fixture.block(&bob, Some("spam")).await;
    let wanted = LongestDue { queued: Some(fixture.now()), ..wanted };
    assert_eq!(statistics(fixture).await.longest_due, wanted, "a blocked account's roots are not due");
}
