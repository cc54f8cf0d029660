//! What becomes of roots that are pinned, retried, waited for, and given up.

use std::time::Duration;

use pinrail_domain::{DagSize, FailureReason, Limits, Phase, Policy, RootFailure, RootState};
use pinrail_ipfs::IpfsError;
use pinrail_spec::Status;
use pinrail_storage::PinRequests;

use super::backend::{Act, Call};
use super::scene::{Scene, address, root};

const SOME: DagSize = DagSize { blocks: 3, bytes: 700 };

fn stalled() -> IpfsError {
    IpfsError::Broken(RootFailure {
        phase: Phase::Transferring,
        reason: FailureReason::Stalled,
        details: "no block came".to_owned(),
        missing: None,
    })
}

fn nobody() -> IpfsError {
    IpfsError::NotProvided { phase: Phase::Finding, tried: "0 origins and 0 connected peers".to_owned(), missing: None }
}

#[tokio::test(start_paused = true)]
async fn a_root_is_leased_pinned_and_settled_with_its_size() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Pin(SOME)]);
    let request = scene.post(account, &root(1)).await;
    assert_eq!(request.status, Status::Queued);
    scene.step().await;
    assert_eq!(scene.read(&request).await.status, Status::Pinning);
    scene.step().await;
    let read = scene.read(&request).await;
    assert_eq!((read.status, read.root.size), (Status::Pinned, Some(DagSize { blocks: 3, bytes: 700 })));
    assert_eq!(scene.backend.calls(), [Call::Pin { root: root(1), previous: None }]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_attempt_is_tried_again_with_growing_pauses_and_says_why() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fail(stalled()), Act::Fail(stalled()), Act::Pin(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step().await;
    let seen = scene.root(&request).await;
    let failure = seen.failure.expect("a reason");
    assert_eq!((seen.state, seen.attempts), (RootState::Pinning, 1));
    assert_eq!((failure.phase, failure.reason), (Phase::Transferring, FailureReason::Stalled));
    scene.step_after(Duration::from_secs(9)).await;
    assert_eq!(scene.root(&request).await.attempts, 1, "the first pause is ten seconds");
    scene.step_after(Duration::from_secs(1)).await;
    scene.step().await;
    assert_eq!(scene.root(&request).await.attempts, 2);
    scene.step_after(Duration::from_secs(19)).await;
    assert_eq!(scene.root(&request).await.attempts, 2, "the second pause is twenty seconds");
    scene.step_after(Duration::from_secs(1)).await;
    scene.step().await;
    assert_eq!(scene.root(&request).await.state, RootState::Pinned);
}

#[tokio::test(start_paused = true)]
async fn content_that_cannot_be_pinned_fails_and_is_asked_for_no_longer() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let details = "block x is hashed with md5, which is not supported".to_owned();
    let error = IpfsError::Unpinnable { reason: FailureReason::UnsupportedHash, details: details.clone() };
    scene.backend.script(&root(1), [Act::Fail(error)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step().await;
    let seen = scene.root(&request).await;
    let failure = seen.failure.expect("a reason");
    assert_eq!((seen.state, failure.reason), (RootState::Failed, FailureReason::UnsupportedHash));
    assert!(failure.details.starts_with(&details), "{}", failure.details);
    assert!(scene.backend.calls().contains(&Call::Forget(root(1))));
}

#[tokio::test(start_paused = true)]
async fn a_root_that_nobody_has_gives_up_its_slot_and_is_woken_by_a_peer_that_has_it() {
    let mut scene = Scene::with_policy(Policy { slots: 1, ..Policy::default() }).await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fail(nobody()), Act::Pin(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step().await;
    let seen = scene.root(&request).await;
    assert!(seen.waiting, "{seen:?}");
    assert_eq!((seen.state, seen.attempts), (RootState::Pinning, 0));
    let other = scene.post(account, &root(2)).await;
    scene.step().await;
    scene.step().await;
    assert_eq!(scene.root(&other).await.state, RootState::Pinned, "the slot is free");
    let now = scene.clock.now();
    let node = scene.worker.node;
    pinrail_storage::RootQueue::wake(&*scene.storage, &node, &[root(1)], now).await.expect("storage answers");
    scene.step().await;
    scene.step().await;
    assert_eq!(scene.root(&request).await.state, RootState::Pinned);
}

#[tokio::test(start_paused = true)]
async fn a_root_that_nobody_ever_has_fails_when_its_time_is_over() {
    let mut scene = Scene::with_policy(Policy { total: Duration::from_mins(1), ..Policy::default() }).await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), std::iter::repeat_n(Act::Fail(nobody()), 9));
    let request = scene.post(account, &root(1)).await;
    for _ in 0..7 {
        scene.step_after(Duration::from_secs(10)).await;
    }
    scene.step().await;
    let seen = scene.root(&request).await;
    assert_eq!((seen.state, seen.failure.map(|failure| failure.phase)), (RootState::Failed, Some(Phase::Finding)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_names_the_phase_that_the_backend_names() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let unreached = IpfsError::NotProvided {
        phase: Phase::Connecting,
        tried: "the one origin could not be reached".to_owned(),
        missing: None,
    };
    let broken = IpfsError::unavailable(Phase::Storing, "no such folder");
    let cases = [
        (unreached, Phase::Connecting, FailureReason::NoProviderFound),
        (nobody(), Phase::Finding, FailureReason::NoProviderFound),
        (broken, Phase::Storing, FailureReason::BackendUnavailable),
    ];
    for (number, (error, phase, reason)) in (1..).zip(cases) {
        scene.backend.script(&root(number), [Act::Fail(error)]);
        let request = scene.post(account, &root(number)).await;
        scene.step().await;
        scene.step().await;
        let failure = scene.root(&request).await.failure.expect("a reason");
        assert_eq!((failure.phase, failure.reason), (phase, reason));
    }
}

#[tokio::test(start_paused = true)]
async fn progress_reaches_readers_within_a_second_and_new_origins_reach_the_fetch() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fetch(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step_after(Duration::from_secs(1)).await;
    assert_eq!(scene.root(&request).await.progress, DagSize { blocks: 3, bytes: 700 });
    let second = scene.request(account, &root(1), vec![address(9)]);
    scene.storage.add_pin_request(&second, scene.clock.now()).await.expect("it is accepted");
    scene.step().await;
    assert!(scene.backend.calls().contains(&Call::Origins(vec![address(9)])));
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_stops_the_fetch_and_names_the_quota() {
    let mut scene = Scene::new().await;
    let account = scene.account(Limits { bytes: Some(500), ..Limits::UNLIMITED }).await;
    scene.backend.script(&root(1), [Act::Fetch(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step_after(Duration::from_secs(1)).await;
    scene.step().await;
    let seen = scene.root(&request).await;
    let reason = seen.failure.map(|failure| failure.reason);
    assert_eq!((seen.state, reason), (RootState::Failed, Some(FailureReason::QuotaExceeded)));
    assert!(scene.backend.calls().contains(&Call::Dropped(root(1))));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_pauses_without_spending_an_attempt() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fail(IpfsError::StorageFull)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step().await;
    let seen = scene.root(&request).await;
    assert_eq!((seen.state, seen.attempts, seen.paused), (RootState::Pinning, 0, true));
    scene.step_after(Duration::from_mins(1)).await;
    scene.step().await;
    let seen = scene.root(&request).await;
    assert_eq!((seen.state, seen.paused), (RootState::Pinned, false));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_is_a_failed_attempt_and_not_a_lease_for_ever() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Panic, Act::Pin(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step().await;
    let failure = scene.root(&request).await.failure.expect("a reason");
    assert_eq!(failure.reason, FailureReason::WorkerBroke);
    scene.step_after(Duration::from_secs(10)).await;
    scene.step().await;
    assert_eq!(scene.root(&request).await.state, RootState::Pinned);
}

#[tokio::test(start_paused = true)]
async fn one_account_leaves_a_quarter_of_the_slots_to_others() {
    let mut scene = Scene::with_policy(Policy { slots: 4, ..Policy::default() }).await;
    let greedy = scene.any_account().await;
    for number in 1..=6 {
        scene.backend.script(&root(number), [Act::Fetch(SOME)]);
        scene.post(greedy, &root(number)).await;
    }
    scene.step().await;
    assert_eq!(scene.backend.calls().len(), 3);
    let modest = scene.any_account().await;
    let request = scene.post(modest, &root(9)).await;
    scene.step().await;
    scene.step().await;
    assert_eq!(scene.root(&request).await.state, RootState::Pinned);
}
