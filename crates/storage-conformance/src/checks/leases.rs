//! The life of a lease: taken, renewed, lost, expired, settled.

use std::collections::BTreeSet;
use std::time::Duration;

use pinrail_domain::{DagSize, FailureReason, LeaseKey, LeaseNews, LeaseTask, Progress, RootState, Verdict};
use pinrail_spec::Status;
use pinrail_storage::{Settlement, StorageError};

use crate::Fixture;
use crate::fixture::{LEASE, SLOTS};
use crate::samples::{address, cid, failed, failure, pinned, retry, wait, with_origins};

/// A lease says what is to be done; taking it turns `queued` to `pinning` and counts the attempt.
pub async fn a_lease_says_what_is_to_be_done(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    fixture.assert_nothing_due(&node).await;
    let wanted = fixture.now();
    let request = fixture.add_pin(&ada, with_origins(1, [7, 8])).await;
    let now = fixture.advance_secs(5);
    let lease = fixture.lease_one(&node).await;
    assert_eq!(lease.key.root, cid(1).root());
    assert_eq!((lease.account, lease.attempt, lease.wanted_since, lease.until), (Some(ada), 1, wanted, now + LEASE));
    assert_eq!(lease.task, LeaseTask::Pin { origins: vec![address(7), address(8)], previous: None });

    let seen = fixture.find(&ada, &request.id).await;
    assert_eq!((seen.status, seen.root.state, seen.root.attempts), (Status::Pinning, RootState::Pinning, 1));
    assert_eq!((seen.root.due, seen.queue_position), (None, None));
    assert_eq!(fixture.count(&ada, Status::Pinning).await, 1);
    assert_eq!(fixture.count(&ada, Status::Queued).await, 0);
}

/// A leased root is not leased again before the lease expires; then another takes it, and the first has lost it.
pub async fn an_expired_lease_is_taken_by_another(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let first = fixture.lease_one(&node).await;
    fixture.advance_almost(LEASE);
    fixture.assert_nothing_due(&node).await;
    fixture.advance(Duration::from_millis(1));
    let second = fixture.lease_one(&node).await;
    assert_eq!((second.attempt, second.wanted_since), (2, first.wanted_since));
    assert!(second.key.token != first.key.token && second.key.epoch > first.key.epoch);

    assert!(!fixture.renew(&first).await);
    assert_eq!(fixture.news(&first).await, LeaseNews::Lost);
    fixture.report(&first, 99).await;
    for verdict in [pinned(1), failed(), retry(fixture.now()), wait(fixture.now())] {
        assert_eq!(fixture.try_settle(&first, verdict).await, Err(StorageError::LeaseLost));
    }
    let seen = fixture.find(&ada, &request.id).await;
    assert_eq!((seen.status, seen.root.progress.bytes), (Status::Pinning, 0), "the lost one changed nothing");
    fixture.settle(&second, pinned(10)).await;
}

/// A lease that is renewed goes on; one that expired too, as long as nobody took it.
pub async fn a_lease_is_renewed_while_nobody_took_it(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    fixture.add(&ada, 1).await;
    let lease = fixture.lease_one(&node).await;
    fixture.advance(LEASE / 2);
    assert!(fixture.renew(&lease).await);
    fixture.advance_almost(LEASE);
    fixture.assert_nothing_due(&node).await;

    fixture.advance(Duration::from_hours(1));
    fixture.beat(&node).await;
    assert!(fixture.renew(&lease).await, "an outage of the database must not throw a fetch away");
    fixture.assert_nothing_due(&node).await;
    fixture.advance(LEASE);
    fixture.settle(&lease, pinned(10)).await;
    fixture.assert_nothing_due(&node).await;
}

/// Many leases are asked for at once, and answered in the order asked.
pub async fn many_leases_are_answered_in_order(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    for number in 0..5 {
        fixture.add_pin(&ada, with_origins(number, [u32::try_from(number).unwrap()])).await;
    }
    let leases = fixture.lease(&node, SLOTS).await;
    assert_eq!(leases.len(), 5);
    fixture.settle(&leases[3], pinned(1)).await;
    let keys = leases.iter().rev().map(|lease| lease.key.clone()).collect::<Vec<_>>();
    let standing = fixture.storage.renew(&keys, fixture.now() + LEASE).await.unwrap();
    assert_eq!(standing, [true, false, true, true, true]);
    let news = fixture.storage.read_leases(&keys).await.unwrap();
    let origin = |port| LeaseNews::Wanted { origins: vec![address(port)] };
    assert_eq!(news, [origin(4), LeaseNews::Lost, origin(2), origin(1), origin(0)]);

    let settlements = keys.iter().map(|key| Settlement { lease: key.clone(), verdict: pinned(1) });
    let outcomes = fixture.storage.settle(&settlements.collect::<Vec<_>>(), fixture.now()).await.unwrap();
    assert_eq!(outcomes, [Ok(()), Err(StorageError::LeaseLost), Ok(()), Ok(()), Ok(())], "each on its own");
    assert_eq!(fixture.count(&ada, Status::Pinned).await, 5);
    assert_eq!(fixture.storage.settle(&[], fixture.now()).await.unwrap(), []);
    assert!(fixture.storage.renew(&[], fixture.now()).await.unwrap().is_empty());
    assert_eq!(fixture.storage.read_leases(&[]).await.unwrap(), []);
}

/// A lease is settled once, by its own token and epoch, with a verdict that fits its task.
pub async fn a_lease_is_settled_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let lease = fixture.lease_one(&node).await;
    let mut older = lease.clone();
    older.key.epoch -= 1;
    let mut elsewhere = lease.clone();
    elsewhere.key = LeaseKey { root: cid(2).root(), ..elsewhere.key };
    for wrong in [older, elsewhere] {
        assert_eq!(fixture.try_settle(&wrong, pinned(1)).await, Err(StorageError::LeaseLost));
        assert_eq!(fixture.news(&wrong).await, LeaseNews::Lost);
        assert!(!fixture.renew(&wrong).await);
    }
    assert_eq!(fixture.try_settle(&lease, Verdict::Released).await, Err(StorageError::LeaseLost));
    fixture.settle(&lease, pinned(10)).await;
    for verdict in [pinned(1), failed(), retry(fixture.now())] {
        assert_eq!(fixture.try_settle(&lease, verdict).await, Err(StorageError::LeaseLost));
    }
    assert_eq!(fixture.find(&ada, &request.id).await.root.size, Some(DagSize { blocks: 1, bytes: 10 }));

    assert!(fixture.remove(&ada, &request.id).await);
    let release = fixture.lease_one(&node).await;
    for verdict in [pinned(1), failed(), wait(fixture.now())] {
        assert_eq!(fixture.try_settle(&release, verdict).await, Err(StorageError::LeaseLost));
    }
    fixture.settle(&release, Verdict::Released).await;
    assert_eq!(fixture.try_settle(&release, Verdict::Released).await, Err(StorageError::LeaseLost));
}

/// `Pinned` is whole: its size, no failure, nothing due.
pub async fn pinned_is_whole(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let lease = fixture.lease_one(&node).await;
    fixture.settle(&lease, retry(fixture.now())).await;
    let lease = fixture.lease_one(&node).await;
    fixture.report(&lease, 5).await;
    let size = DagSize { blocks: 3, bytes: 1 << 40 };
    fixture.settle(&lease, Verdict::Pinned { size }).await;
    let seen = fixture.find(&ada, &request.id).await;
    assert_eq!(
        (seen.status, seen.root.size, seen.root.failure, seen.root.due),
        (Status::Pinned, Some(size), None, None)
    );
    assert_eq!((seen.root.attempts, seen.root.progress), (2, Progress { blocks: 3, bytes: 1 << 40 }));
    fixture.advance(Duration::from_hours(1000));
    fixture.beat(&node).await;
    fixture.assert_nothing_due(&node).await;
}

/// `Retry` counts the attempt, says why and when, and stays `pinning`.
pub async fn a_retry_stays_pinning(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let first = fixture.lease_one(&node).await;
    fixture.report(&first, 5).await;
    let due = fixture.now() + Duration::from_secs(10);
    fixture.settle(&first, retry(due)).await;
    let seen = fixture.find(&ada, &request.id).await;
    assert_eq!((seen.status, seen.root.attempts, seen.root.due), (Status::Pinning, 1, Some(due)));
    assert_eq!(seen.root.failure, Some(failure(FailureReason::Stalled)));
    assert_eq!((seen.root.waiting, seen.root.progress.bytes), (false, 5), "what was received stays");
    assert_eq!(fixture.count(&ada, Status::Pinning).await, 1);

    fixture.advance(Duration::from_millis(9_999));
    fixture.assert_nothing_due(&node).await;
    fixture.advance(Duration::from_millis(1));
    let second = fixture.lease_one(&node).await;
    assert_eq!((second.attempt, second.wanted_since), (2, first.wanted_since));
    let seen = fixture.find(&ada, &request.id).await;
    assert_eq!((seen.status, seen.root.attempts, seen.root.due), (Status::Pinning, 2, None));
    assert_eq!(seen.root.failure, Some(failure(FailureReason::Stalled)), "until the next verdict");
}

/// `Pause` gives the attempt back, keeps what was known, and says whether the disk is full.
pub async fn a_pause_spends_no_attempt(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let lease = fixture.lease_one(&node).await;
    fixture.settle(&lease, retry(fixture.now())).await;
    let lease = fixture.lease_one(&node).await;
    let due = fixture.now() + Duration::from_secs(30);
    fixture.settle(&lease, Verdict::Pause { due, storage_full: true }).await;
    let seen = fixture.find(&ada, &request.id).await;
    assert_eq!(
        (seen.status, seen.root.attempts, seen.root.paused, seen.root.due),
        (Status::Pinning, 1, true, Some(due))
    );
    assert_eq!(seen.root.failure, Some(failure(FailureReason::Stalled)));

    fixture.advance_secs(31);
    fixture.add(&ada, 2).await;
    let lease = fixture.lease(&node, 1).await.remove(0);
    assert_eq!((&lease.key.root, lease.attempt), (&cid(1).root(), 2), "a retry no more: it was due first");
    assert!(!fixture.find(&ada, &request.id).await.root.paused);
    fixture.settle(&lease, Verdict::Pause { due: fixture.now(), storage_full: false }).await;
    assert!(!fixture.find(&ada, &request.id).await.root.paused);
}

/// Origins are taken in turns from the accounts and of an account from its requests, the newest first, each once, at
/// most 60; a running fetch learns of new ones.
pub async fn origins_are_taken_in_turns(fixture: &Fixture) {
    let (ada, bob) = (fixture.account("ada").await, fixture.account("bob").await);
    let node = fixture.node(1).await;
    fixture.add_pin(&ada, with_origins(1, 100..120)).await;
    fixture.advance_secs(1);
    let second = fixture.add_pin(&bob, with_origins(1, [200, 119, 201])).await;
    let lease = fixture.lease_one(&node).await;
    let ports = |ports: Vec<u32>| ports.into_iter().map(address).collect::<Vec<_>>();
    let wanted = ports([200, 100, 119, 101, 201].into_iter().chain(102..119).collect());
    assert_eq!(lease.task, LeaseTask::Pin { origins: wanted, previous: None });

    for begin in [300, 400, 500] {
        fixture.advance_secs(1);
        fixture.add_pin(&ada, with_origins(1, begin..begin + 20)).await;
    }
    let further = (1..20).flat_map(|number| [500 + number, 400 + number, 300 + number, 100 + number]);
    let further = further.filter(|port| ![501, 119].contains(port));
    let first = [500, 200, 400, 119, 300, 201, 100, 501];
    let wanted = ports(first.into_iter().chain(further).take(60).collect());
    assert_eq!(fixture.news(&lease).await, LeaseNews::Wanted { origins: wanted }, "sixty, the last are left out");

    assert!(fixture.remove(&bob, &second.id).await);
    for request in fixture.list(&ada, &crate::samples::everything()).await.requests.iter().take(2) {
        assert!(fixture.remove(&ada, &request.id).await);
    }
    let wanted = ports((0..20).flat_map(|number| [300 + number, 100 + number]).collect());
    assert_eq!(fixture.news(&lease).await, LeaseNews::Wanted { origins: wanted });
}

/// Whoever names many origins in many requests displaces nobody's.
pub async fn no_number_of_requests_displaces_the_origins_of_others(fixture: &Fixture) {
    let (ada, mallory) = (fixture.account("ada").await, fixture.account("mallory").await);
    let node = fixture.node(1).await;
    fixture.add_pin(&ada, with_origins(1, [1, 2, 3])).await;
    for number in 1..=70 {
        fixture.advance_secs(1);
        fixture.add_pin(&mallory, with_origins(1, number * 100..number * 100 + 20)).await;
    }
    let LeaseTask::Pin { origins, .. } = fixture.lease_one(&node).await.task else { panic!("it is to be pinned") };
    assert_eq!(origins.len(), 60);
    let of_mallory = [7_000, 6_900, 6_800];
    let wanted = of_mallory.into_iter().zip(1..=3).flat_map(|(theirs, ours)| [address(theirs), address(ours)]);
    assert_eq!(origins[..6], wanted.collect::<Vec<_>>());
}

/// Progress reaches readers at once.
pub async fn progress_is_read_at_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let request = fixture.add(&ada, 1).await;
    let lease = fixture.lease_one(&node).await;
    for bytes in [1, 10, 1 << 33] {
        fixture.report(&lease, bytes).await;
        let seen = fixture.find(&ada, &request.id).await;
        assert_eq!(seen.root.progress, Progress { blocks: 1, bytes });
    }
    assert_eq!(fixture.list(&ada, &crate::samples::everything()).await.requests[0].root.progress.bytes, 1 << 33);
    fixture.storage.report_progress(&[]).await.unwrap();
}

/// As many roots as asked, each to one taker alone, and none twice.
pub async fn as_many_as_asked_each_once(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    for number in 0..40 {
        fixture.add(&ada, number).await;
    }
    assert_eq!(fixture.lease(&node, 0).await, []);
    let mut roots = BTreeSet::new();
    for limit in [1, 3, 16] {
        let leases = fixture.lease(&node, limit).await;
        assert_eq!(leases.len(), limit);
        roots.extend(leases.into_iter().map(|lease| lease.key.root));
    }
    let at_once = futures::future::join_all((0..8).map(|_| fixture.lease(&node, 5))).await;
    roots.extend(at_once.iter().flatten().map(|lease| lease.key.root.clone()));
    let taken = 20 + at_once.iter().map(Vec::len).sum::<usize>();
    assert_eq!((taken, roots.len()), (40, 40));
}

/// Releases come beside what is to be pinned, whatever the limit, oldest first, up to the worker's slots at once.
pub async fn releases_do_not_wait_for_fetches(fixture: &Fixture) {
    let ada = fixture.account("ada").await;
    let node = fixture.node(1).await;
    let mut requests = Vec::new();
    for number in 0..5 {
        requests.push(fixture.add_pinned(&ada, &node, number, 1).await);
    }
    fixture.add(&ada, 10).await;
    for request in requests.iter().rev() {
        fixture.advance_secs(1);
        assert!(fixture.remove(&ada, &request.id).await);
    }
    let leases = fixture.lease_of(&node, 1, 3).await;
    let roots = leases.iter().map(|lease| lease.key.root.clone()).collect::<Vec<_>>();
    assert_eq!(roots, [10, 4, 3, 2].map(|number| cid(number).root()));
    assert_eq!(fixture.lease_of(&node, 1, 3).await, [], "three releases run");
    fixture.settle(&leases[1], Verdict::Released).await;
    let next = fixture.lease_of(&node, 0, 3).await;
    assert_eq!(next.iter().map(|lease| lease.key.root.clone()).collect::<Vec<_>>(), [cid(1).root()]);
    assert!(next.iter().all(|lease| lease.task == LeaseTask::Release && lease.account.is_none()));
}
