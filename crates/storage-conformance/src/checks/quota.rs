//! Limits, judged and counted in the step that uses them.

use pinrail_domain::{
    BLOCK_OVERHEAD, DagSize, LeaseNews, Limits, Progress, QuotaExceeded, Usage, Verdict, carried_bytes,
};
use pinrail_spec::{Pin, Status};
use pinrail_storage::{ProgressReport, StorageError};

use crate::Fixture;
use crate::fixture::SLOTS;
use crate::samples::{address, counted, everything, failed, named, parsed, pin, pin_of, pinned, with_meta};

fn exceeded(what: &'static str, limit: u64, used: u64) -> StorageError {
    StorageError::Quota(QuotaExceeded { what, limit, used })
}

/// What an account uses that has roots of one block each with so much content, and whose requests carry nothing.
fn usage(requests: u64, queued_roots: u64, contents: &[u64]) -> Usage {
    Usage { requests, queued_roots, bytes: counted(contents) }
}

/// Requests count whatever their status; a removed one makes room, a replace needs none.
pub async fn requests_are_limited(fixture: &Fixture) {
    let ada = fixture.account_with("ada", Limits { requests: Some(2), ..Limits::UNLIMITED }).await;
    let node = fixture.node(1).await;
    let first = fixture.add_pinned(&ada, &node, 1, 10).await;
    let second = fixture.add(&ada, 2).await;
    let refused = fixture.try_add(&ada, pin(1)).await.unwrap_err();
    assert_eq!(refused, exceeded("pin requests", 2, 2));
    let told = "the account has 2 pin requests and may have 2, delete some pins or ask for a higher limit";
    assert_eq!(refused.to_string(), told);

    let second = fixture.replace(&ada, &second.id, pin(3)).await;
    assert_eq!(fixture.usage(&ada).await.requests, 2);
    assert!(fixture.remove(&ada, &second.id).await);
    fixture.add(&ada, 4).await;
    assert!(fixture.remove(&ada, &first.id).await);
    fixture.set_limits(&ada, Limits { requests: Some(1), ..Limits::UNLIMITED }).await;
    assert_eq!(fixture.try_add(&ada, pin(5)).await, Err(exceeded("pin requests", 1, 1)));
    fixture.set_limits(&ada, Limits::UNLIMITED).await;
    fixture.add(&ada, 5).await;
}

/// Distinct unfinished roots count; what the account waits for already, and what is pinned, is admitted beyond.
pub async fn queued_roots_are_limited(fixture: &Fixture) {
    let ada = fixture.account_with("ada", Limits { queued_roots: Some(2), ..Limits::UNLIMITED }).await;
    let bob = fixture.account("bob").await;
    let node = fixture.node(1).await;
    fixture.add_pinned(&bob, &node, 9, 10).await;
    fixture.add(&ada, 1).await;
    let second = fixture.add(&ada, 2).await;
    assert_eq!(fixture.try_add(&ada, pin(3)).await, Err(exceeded("queued roots", 2, 2)));
    fixture.add(&ada, 1).await;
    fixture.add(&ada, 9).await;
    assert_eq!(fixture.usage(&ada).await, usage(4, 2, &[10]));
    let third = fixture.replace(&ada, &second.id, pin(3)).await;
    assert_eq!(fixture.usage(&ada).await.queued_roots, 2, "the old one is held and not fetched");

    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!(fixture.try_add(&ada, pin(4)).await, Err(exceeded("queued roots", 2, 2)), "a fetch counts");
    fixture.settle(&leases[0], failed()).await;
    fixture.settle(&leases[1], pinned(5)).await;
    assert_eq!(fixture.usage(&ada).await.queued_roots, 0);
    fixture.add(&ada, 4).await;
    fixture.add(&ada, 5).await;
    assert_eq!(fixture.try_add(&ada, pin(1)).await, Err(exceeded("queued roots", 2, 2)), "it would be queued again");
    fixture.add(&ada, 3).await;
    assert_eq!(fixture.find(&ada, &third.id).await.status, Status::Pinned);
}

/// Bytes count each distinct root once: a pinned one at its size, a fetch at what it received, a failed one not.
pub async fn bytes_count_each_root_once(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    let first = fixture.add(&ada, 1).await;
    let again = fixture.add(&ada, 1).await;
    let of_bob = fixture.add(&bob, 1).await;
    let lease = fixture.lease_one(&node).await;
    fixture.report(&lease, 7).await;
    assert_eq!(fixture.usage(&ada).await, usage(2, 1, &[7]));
    fixture.report(&lease, 9).await;
    assert_eq!((fixture.usage(&ada).await, fixture.usage(&bob).await), (usage(2, 1, &[9]), usage(1, 1, &[9])));
    assert_eq!(fixture.find(&ada, &first.id).await.root.progress.bytes, 9);
    fixture.settle(&lease, pinned(20)).await;
    assert_eq!((fixture.usage(&ada).await, fixture.usage(&bob).await), (usage(2, 0, &[20]), usage(1, 0, &[20])));

    assert!(fixture.remove(&ada, &first.id).await);
    assert_eq!(fixture.usage(&ada).await, usage(1, 0, &[20]));
    assert!(fixture.remove(&ada, &again.id).await);
    assert_eq!((fixture.usage(&ada).await, fixture.usage(&bob).await), (usage(0, 0, &[]), usage(1, 0, &[20])));
    assert!(fixture.remove(&bob, &of_bob.id).await);
    assert_eq!(fixture.usage(&bob).await, usage(0, 0, &[]));

    fixture.assert_released(&node, &[1]).await;
    fixture.add(&ada, 2).await;
    let lease = fixture.lease_one(&node).await;
    fixture.report(&lease, 7).await;
    fixture.settle(&lease, failed()).await;
    assert_eq!(fixture.usage(&ada).await, usage(1, 0, &[]));
}

/// At the limit of bytes nothing new is queued; what others pinned is admitted by its size.
pub async fn bytes_are_limited(fixture: &Fixture) {
    let most = counted(&[10, 10, 0]);
    let ada = fixture.account_with("ada", Limits { bytes: Some(most), ..Limits::UNLIMITED }).await;
    let bob = fixture.account("bob").await;
    let node = fixture.node(1).await;
    fixture.add_pinned(&bob, &node, 8, 11).await;
    fixture.add_pinned(&bob, &node, 9, 10).await;
    fixture.add_pinned(&ada, &node, 1, 10).await;
    fixture.add_pin(&ada, pin_of(parsed("bafkqaaa"))).await;
    assert_eq!(fixture.try_add(&ada, pin(8)).await, Err(exceeded("bytes", most, counted(&[10, 0]))));
    let shared = fixture.add(&ada, 9).await;
    assert_eq!(fixture.usage(&ada).await.bytes, most);
    assert_eq!(fixture.try_add(&ada, pin(2)).await, Err(exceeded("bytes", most, most)));
    fixture.add(&ada, 9).await;
    let one_byte = pin_of(parsed("f01550001ff"));
    assert_eq!(fixture.try_add(&ada, one_byte).await, Err(exceeded("bytes", most, most)));

    fixture.replace(&ada, &shared.id, pin(9)).await;
    assert_eq!(fixture.usage(&ada).await.bytes, most);
}

/// Each block counts for what it takes up beside its content, of a fetch, of a whole DAG, and of one that others pinned.
pub async fn tiny_blocks_count_for_what_they_take_up(fixture: &Fixture) {
    let most = 1_000 * BLOCK_OVERHEAD;
    let ada = fixture.account_with("ada", Limits { bytes: Some(most), ..Limits::UNLIMITED }).await;
    let bob = fixture.account("bob").await;
    let node = fixture.node(1).await;
    let tiny = DagSize { blocks: 999, bytes: 999 };
    for account in [&bob, &ada] {
        fixture.add(account, 1).await;
    }
    let lease = fixture.lease_one(&node).await;
    let progress = Progress { blocks: 500, bytes: 500 };
    let report = ProgressReport { lease: lease.key.clone(), progress };
    fixture.storage.report_progress(&[report]).await.unwrap();
    assert_eq!(fixture.usage(&ada).await.bytes, 500 + 500 * BLOCK_OVERHEAD);
    fixture.settle(&lease, Verdict::Pinned { size: tiny }).await;
    assert_eq!(fixture.usage(&ada).await.bytes, tiny.counted_bytes());

    let other = fixture.add(&bob, 2).await;
    let lease = fixture.lease_one(&node).await;
    fixture.settle(&lease, Verdict::Pinned { size: DagSize { blocks: 2, bytes: 2 } }).await;
    assert_eq!(fixture.try_add(&ada, pin(2)).await, Err(exceeded("bytes", most, tiny.counted_bytes())));
    assert_eq!(fixture.find(&bob, &other.id).await.root.size, Some(DagSize { blocks: 2, bytes: 2 }), "as it is");
}

/// The name, the origins and the meta of a request count for its account until it goes, each time that they are sent.
pub async fn what_requests_carry_counts(fixture: &Fixture) {
    let ada = fixture.account_with("ada", Limits { bytes: Some(2_000), ..Limits::UNLIMITED }).await;
    fixture.node(1).await;
    let plain = fixture.add(&ada, 1).await;
    assert_eq!(fixture.usage(&ada).await.bytes, 0);
    let carried =
        Pin { origins: vec![address(1), address(2)], name: Some("na\"me".to_owned()), ..with_meta(1, &[("k", "v")]) };
    let bytes = carried_bytes(&carried);
    let first = fixture.add_pin(&ada, carried.clone()).await;
    fixture.add_pin(&ada, carried.clone()).await;
    assert_eq!(fixture.usage(&ada).await.bytes, 2 * bytes);
    fixture.set_limits(&ada, Limits { bytes: Some(2 * bytes), ..Limits::UNLIMITED }).await;
    assert_eq!(fixture.try_add(&ada, named(1, "n")).await, Err(exceeded("bytes", 2 * bytes, 2 * bytes)));
    let refused = fixture.try_replace(&ada, &plain.id, carried.clone()).await;
    assert_eq!(refused, Err(exceeded("bytes", 2 * bytes, 2 * bytes)));
    let replaced = fixture.replace(&ada, &first.id, carried).await;
    assert_eq!(fixture.usage(&ada).await.bytes, 2 * bytes, "what it replaced is gone");
    assert!(fixture.remove(&ada, &replaced.id).await);
    assert_eq!(fixture.usage(&ada).await.bytes, bytes);
}

/// What holds keep counts in bytes until it is let go, so that nobody keeps any amount by replacing it with what
/// nobody has.
pub async fn holds_count_in_bytes(fixture: &Fixture) {
    let ada = fixture.account_with("ada", Limits { bytes: Some(counted(&[10])), ..Limits::UNLIMITED }).await;
    let node = fixture.node(1).await;
    let old = fixture.add_pinned(&ada, &node, 1, 10).await;
    let refused = fixture.try_replace(&ada, &old.id, pin(2)).await;
    assert_eq!(
        refused,
        Err(exceeded("bytes", counted(&[10]), counted(&[10]))),
        "the old root stays until the new one is there"
    );
    fixture.set_limits(&ada, Limits { bytes: Some(counted(&[10, 10])), ..Limits::UNLIMITED }).await;
    let new = fixture.replace(&ada, &old.id, pin(2)).await;
    assert_eq!(fixture.usage(&ada).await, usage(1, 1, &[10]));
    let further = fixture.add(&ada, 1).await;
    assert_eq!(fixture.usage(&ada).await, usage(2, 1, &[10]), "held and wanted is once");
    assert!(fixture.remove(&ada, &further.id).await);
    fixture.pin_one(&node, 15).await;
    assert_eq!(fixture.usage(&ada).await, usage(1, 0, &[15]));
    assert!(fixture.remove(&ada, &new.id).await);
    assert_eq!(fixture.usage(&ada).await, usage(0, 0, &[]));
}

/// A fetch is over quota when every account that wants it, and is not blocked, is over its bytes.
pub async fn a_fetch_stops_when_nobody_has_room(fixture: &Fixture) {
    let small = Limits { bytes: Some(counted(&[10])), ..Limits::UNLIMITED };
    let (ada, bob) = (fixture.account_with("ada", small).await, fixture.account_with("bob", small).await);
    let node = fixture.node(1).await;
    fixture.add(&ada, 1).await;
    let lease = fixture.lease_one(&node).await;
    fixture.report(&lease, 10).await;
    assert!(matches!(fixture.news(&lease).await, LeaseNews::Wanted { .. }), "at the limit is not over it");
    fixture.report(&lease, 11).await;
    assert_eq!(fixture.news(&lease).await, LeaseNews::OverQuota);

    let room = fixture.add(&bob, 1).await;
    assert_eq!(fixture.news(&lease).await, LeaseNews::OverQuota, "bob has no room for it either");
    fixture.set_limits(&bob, Limits { bytes: Some(counted(&[100])), ..Limits::UNLIMITED }).await;
    assert!(matches!(fixture.news(&lease).await, LeaseNews::Wanted { .. }), "bob has room");
    fixture.block(&bob, Some("spam")).await;
    assert_eq!(fixture.news(&lease).await, LeaseNews::OverQuota, "a blocked account's room does not count");
    fixture.block(&bob, None).await;
    assert!(matches!(fixture.news(&lease).await, LeaseNews::Wanted { .. }));
    assert!(fixture.remove(&bob, &room.id).await);
    assert_eq!(fixture.news(&lease).await, LeaseNews::OverQuota);
    fixture.settle(&lease, failed()).await;
    assert_eq!(fixture.usage(&ada).await.bytes, 0);
}

/// An account holds at most 1,000 requests for one root, others as many of their own.
pub async fn requests_for_one_root_are_limited(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    fixture.node(1).await;
    let mut last = None;
    for _ in 0..Limits::REQUESTS_PER_ROOT {
        last = Some(fixture.add(&ada, 1).await);
    }
    let refused = fixture.try_add(&ada, pin(1)).await;
    assert_eq!(refused, Err(exceeded("pin requests for this CID", 1_000, 1_000)));
    fixture.replace(&ada, &last.unwrap().id, named(1, "the last")).await;
    let other = fixture.add(&ada, 2).await;
    assert!(fixture.try_replace(&ada, &other.id, pin(1)).await.is_err());
    assert_eq!(fixture.find(&ada, &other.id).await.id, other.id, "what was refused replaced nothing");
    fixture.add(&bob, 1).await;
}

/// A refused request leaves nothing behind: no request, no meta, no root, no count, no `created`.
pub async fn a_refused_request_leaves_nothing(fixture: &Fixture) {
    let ada = fixture.account_with("ada", Limits { requests: Some(1), ..Limits::UNLIMITED }).await;
    let node = fixture.node(1).await;
    let kept = fixture.add(&ada, 1).await;
    assert!(fixture.try_add(&ada, with_meta(2, &[("k", "v")])).await.is_err());
    assert_eq!(fixture.list(&ada, &everything()).await.requests, std::slice::from_ref(&kept));
    assert_eq!(fixture.usage(&ada).await, usage(1, 1, &[]));
    assert_eq!(fixture.lease(&node, SLOTS).await.len(), 1);
    assert!(fixture.remove(&ada, &kept.id).await);
    assert_eq!(fixture.add(&ada, 3).await.created, kept.created.next());
}

/// Requests that are made at once do not pass a limit together.
pub async fn limits_hold_against_many_at_once(fixture: &Fixture) {
    let limits = Limits { requests: Some(10), queued_roots: Some(6), bytes: None };
    let ada = fixture.account_with("ada", limits).await;
    fixture.node(1).await;
    let tasks = (0..8_u64).map(|task| async move {
        let mut accepted = 0_u64;
        for round in 0..5 {
            match fixture.try_add(&ada, pin(task * 5 + round)).await {
                Ok(_) => accepted += 1,
                Err(StorageError::Quota(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        accepted
    });
    let accepted = futures::future::join_all(tasks).await.into_iter().sum::<u64>();
    assert_eq!(accepted, 6);
    assert_eq!(fixture.usage(&ada).await, usage(6, 6, &[]));
    assert_eq!(fixture.list(&ada, &everything()).await.count, 6);
}
