//! Pages, bounds and counts: a walker sees each request exactly once, and a count is what a recount finds.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use pinrail_domain::{AccountId, RequestId};
use pinrail_spec::{PinFilter, Status, Timestamp};
use pinrail_storage::PAGE_BYTES;

use crate::Fixture;
use crate::fixture::SLOTS;
use crate::samples::{after, before, cid, everything, failed, in_status, meta, pinned, with_meta};

async fn add_many(fixture: &Fixture, account: &AccountId, count: u64) -> Vec<(Timestamp, RequestId)> {
    let mut added = Vec::new();
    for number in 0..count {
        let request = fixture.add(account, number).await;
        added.push((request.created, request.id));
    }
    added
}

/// `before` and `after` are exclusive, to the millisecond, and the count honours them.
pub async fn bounds_are_exclusive(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let added = add_many(fixture, &ada, 5).await;
    let middle = added[2].0;
    for (filter, wanted) in [
        (before(middle), &added[..2]),
        (before(middle.next()), &added[..3]),
        (after(middle), &added[3..]),
        (after(added[1].0), &added[2..]),
        (PinFilter { after: Some(added[0].0), ..before(added[4].0) }, &added[1..4]),
        (PinFilter { after: Some(middle), ..before(middle.next()) }, &[]),
        (before(added[0].0), &[]),
        (after(added[4].0), &[]),
        (before(Timestamp::from_millis(0)), &[]),
        (after(Timestamp::from_millis(0)), &added[..]),
    ] {
        let page = fixture.list(&ada, &filter).await;
        let found = page.requests.iter().rev().map(|request| (request.created, request.id)).collect::<Vec<_>>();
        assert_eq!((found.as_slice(), page.count), (wanted, wanted.len() as u64), "{filter:?}");
    }
}

/// A limit cuts the page and not the count.
pub async fn a_limit_cuts_the_page_alone(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let added = add_many(fixture, &ada, 12).await;
    for limit in [1, 3, 12, 1000] {
        let page = fixture.list(&ada, &PinFilter { limit, ..everything() }).await;
        assert_eq!((page.requests.len(), page.count), (usize::from(limit).min(12), 12));
        assert_eq!(page.requests[0].id, added[11].1);
    }
}

/// A page ends early where its requests hold much text, its count tells of the others, and `before` leads to them.
pub async fn a_page_ends_where_its_texts_are_long(fixture: &Fixture) {
    const MANY: usize = 40;
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let long = "x".repeat(60_000);
    for number in 0..MANY as u64 {
        fixture.add_pin(&ada, with_meta(number, &[("k", &long)])).await;
    }
    for filter in [everything(), PinFilter { meta: meta(&[("k", &long)]), ..everything() }] {
        let mut filter = PinFilter { limit: 1_000, ..filter };
        let mut seen = BTreeSet::new();
        while seen.len() < MANY {
            let page = fixture.list(&ada, &filter).await;
            let length = page.requests.len();
            assert_eq!(page.count, (MANY - seen.len()) as u64, "the count tells of all that match");
            assert!(length > 0 && length * long.len() < PAGE_BYTES + 2 * long.len(), "{length} requests in a page");
            filter.before = page.requests.last().map(|last| last.created);
            seen.extend(page.requests.into_iter().map(|request| request.id));
        }
    }
}

/// Walk by ten with `before`, calling `meanwhile` after each page; what was seen.
async fn walk<F: AsyncFn()>(fixture: &Fixture, account: &AccountId, filter: PinFilter, meanwhile: F) -> Vec<RequestId> {
    let mut filter = PinFilter { limit: 10, ..filter };
    let mut seen = Vec::new();
    loop {
        let page = fixture.list(account, &filter).await;
        filter.before = page.requests.last().map(|last| last.created).or(filter.before);
        let is_last = page.count == page.requests.len() as u64;
        seen.extend(page.requests.into_iter().map(|request| request.id));
        if is_last {
            return seen;
        }
        meanwhile().await;
    }
}

/// A walk by ten with `before` sees each request exactly once while others are added and removed.
pub async fn a_walk_sees_each_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let added = add_many(fixture, &ada, 95).await;
    let seen = walk(fixture, &ada, everything(), async || {
        let newcomer = fixture.add(&ada, 1).await;
        fixture.add(&ada, 2).await;
        assert!(fixture.remove(&ada, &newcomer.id).await);
    })
    .await;
    let wanted = added.iter().rev().map(|(_, id)| *id).collect::<Vec<_>>();
    assert_eq!(seen, wanted);
}

/// Whoever asks again and again for what came `after` the newest that it saw misses nothing and sees nothing twice,
/// while eight tasks add.
pub async fn a_follower_misses_nothing(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    fixture.node(1).await;
    let begin = fixture.add(&ada, 0).await.created;
    let follow = async |from: Timestamp, seen: &mut Vec<RequestId>| {
        let newest = fixture.list(&ada, &PinFilter { limit: 1, ..after(from) }).await.requests.pop();
        let Some(newest) = newest else { return from };
        let until = PinFilter { before: Some(newest.created.next()), ..after(from) };
        seen.extend(walk(fixture, &ada, until, async || {}).await);
        newest.created
    };
    let is_over = AtomicBool::new(false);
    let adding = async {
        let task = async |number: u64| {
            for _ in 0..25 {
                fixture.add(&ada, number).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(task(1), task(2), task(3), task(4), task(5), task(6), task(7), task(8));
        is_over.store(true, Ordering::Relaxed);
    };
    let following = async {
        let (mut seen, mut from) = (Vec::new(), begin);
        loop {
            // Looked at first: then this round finds whatever was added.
            let is_last = is_over.load(Ordering::Relaxed);
            from = follow(from, &mut seen).await;
            if is_last {
                return seen;
            }
            tokio::task::yield_now().await;
        }
    };
    let (seen, ()) = tokio::join!(following, adding);
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (200, 200));
}

/// Counts by status and bounds are what a recount of the requests finds, across more than a thousand of them, through
/// removals, settles and replaces.
pub async fn counts_equal_a_recount(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let added = add_many(fixture, &ada, 1_100).await;
    let leases = fixture.lease_of(&node, 60, 80).await;
    assert_eq!(leases.len(), 60);
    for (position, lease) in leases.iter().enumerate() {
        match position % 3 {
            0 => fixture.settle(lease, pinned(1)).await,
            1 => fixture.settle(lease, failed()).await,
            _ => {}
        }
    }
    for (_, id) in added.iter().step_by(7) {
        assert!(fixture.remove(&ada, id).await);
    }
    for (position, (_, id)) in added.iter().enumerate().skip(1).step_by(70).filter(|(position, _)| position % 7 != 0) {
        fixture.replace(&ada, id, crate::samples::pin(position as u64)).await;
    }

    let mut all = fixture.list(&ada, &everything()).await.requests;
    let oldest = all.last().expect("a thousand requests").created;
    all.extend(fixture.list(&ada, &before(oldest)).await.requests);
    assert_eq!(fixture.usage(&ada).await.requests, all.len() as u64);
    let recount = |filter: &PinFilter| {
        let matching = all.iter().filter(|request| {
            filter.statuses.contains(&request.status)
                && filter.before.is_none_or(|before| request.created < before)
                && filter.after.is_none_or(|after| request.created > after)
        });
        matching.count() as u64
    };
    let bounds = [0, 1, 20, 21, 500, 1_022, 1_023, 1_024, 1_025, 1_099].map(|position: usize| Some(added[position].0));
    for statuses in [&Status::ALL[..], &[Status::Pinned], &[Status::Failed, Status::Pinning], &[Status::Queued]] {
        for bound in bounds.into_iter().chain([None]) {
            for (before, after) in [(bound, None), (None, bound), (Some(added[1_050].0), bound)] {
                let filter = PinFilter { before, after, limit: 1, ..in_status(statuses) };
                assert_eq!(fixture.list(&ada, &filter).await.count, recount(&filter), "{filter:?}");
            }
        }
    }
}

/// The states of a root with more than 500 requests reach the first 500 at once and the rest in steps; one request
/// is always told the truth.
pub async fn copies_follow_in_steps(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let bob = fixture.account("bob").await;
    let node = fixture.node(1).await;
    let mut requests = Vec::new();
    for _ in 0..650 {
        requests.push((ada, fixture.add(&ada, 1).await.id));
    }
    for _ in 0..550 {
        requests.push((bob, fixture.add(&bob, 1).await.id));
    }
    let stand = |status| async move { fixture.count(&ada, status).await + fixture.count(&bob, status).await };
    assert_eq!(stand(Status::Queued).await, 1_200);

    let lease = fixture.lease_one(&node).await;
    assert_eq!((stand(Status::Queued).await, stand(Status::Pinning).await), (700, 500));
    assert!(fixture.storage.copy_statuses().await.unwrap(), "there is more to do");
    assert_eq!((stand(Status::Queued).await, stand(Status::Pinning).await), (200, 1_000));
    assert!(fixture.remove(&bob, &requests.pop().unwrap().1).await);

    fixture.settle(&lease, pinned(10)).await;
    assert_eq!(stand(Status::Pinned).await, 500, "a new state begins anew");
    for (account, id) in requests.iter().step_by(50) {
        assert_eq!(fixture.find(account, id).await.status, Status::Pinned);
    }
    assert_eq!(fixture.add(&bob, 1).await.status, Status::Pinned);
    fixture.copy_all_statuses().await;
    assert_eq!((stand(Status::Pinned).await, stand(Status::Pinning).await, stand(Status::Queued).await), (1_200, 0, 0));
    assert!(!fixture.storage.copy_statuses().await.unwrap(), "nothing is left to do");

    for account in [ada, bob] {
        let page = fixture.list(&account, &in_status(&[Status::Pinned])).await;
        assert_eq!(page.count, page.requests.len() as u64);
    }
    assert_eq!(fixture.lease(&node, SLOTS).await, [], "{}", cid(1));
}
