//! Roots of which nothing comes: they give their slots up, and are asked for on.

use std::time::Duration;

use pinrail_domain::{AccountId, DagSize, Phase, PinRequest, Policy, RootState};
use pinrail_ipfs::IpfsError;
use pinrail_spec::Status;

use super::backend::{Act, Call};
use super::scene::{Scene, address, root};

const NOTHING: DagSize = DagSize { blocks: 0, bytes: 0 };
const SOME: DagSize = DagSize { blocks: 3, bytes: 700 };

fn nobody() -> IpfsError {
    IpfsError::NotProvided { phase: Phase::Finding, tried: "3 connected peers were asked".to_owned(), missing: None }
}

async fn crowd(slots: u32) -> Scene {
    Scene::with_policy(Policy { slots, ..Policy::default() }).await
}

/// Ask for roots that do this whenever they are tried.
async fn post(scene: &mut Scene, account: AccountId, numbers: std::ops::Range<u8>, act: Act) -> Vec<PinRequest> {
    let mut requests = Vec::new();
    for number in numbers {
        scene.backend.script(&root(number), std::iter::repeat_n(act.clone(), 100));
        requests.push(scene.post(account, &root(number)).await);
        scene.worker.bell.notify_one();
    }
    requests
}

#[tokio::test(start_paused = true)]
async fn a_root_that_somebody_has_goes_before_any_number_of_accounts_whose_roots_come_to_nothing() {
    let mut scene = crowd(16).await;
    for account in 0..10 {
        let greedy = scene.any_account().await;
        post(&mut scene, greedy, account * 10..account * 10 + 10, Act::Fetch(NOTHING)).await;
    }
    scene.run_for(Duration::from_secs(3)).await;
    let modest = scene.any_account().await;
    for number in 200..205 {
        let request = scene.post(modest, &root(number)).await;
        scene.worker.bell.notify_one();
        scene.run_for(Duration::from_secs(1)).await;
        assert_eq!(scene.read(&request).await.status, Status::Pinned);
    }
}

#[tokio::test(start_paused = true)]
async fn a_root_of_which_nothing_came_is_asked_for_on_and_spends_no_attempt() {
    let mut scene = crowd(1).await;
    let (first, second) = (scene.any_account().await, scene.any_account().await);
    let slow = post(&mut scene, first, 1..2, Act::Fetch(NOTHING)).await;
    scene.run_for(Duration::from_secs(1)).await;
    let request = scene.post(second, &root(9)).await;
    scene.worker.bell.notify_one();
    scene.run_for(Duration::from_secs(1)).await;
    assert_eq!(scene.read(&request).await.status, Status::Pinned);
    let seen = scene.root(&slow[0]).await;
    assert_eq!((seen.state, seen.waiting, seen.attempts), (RootState::Pinning, true, 0));
    assert!(scene.backend.calls().contains(&Call::LookFor(root(1))));
}

#[tokio::test(start_paused = true)]
async fn what_receives_blocks_keeps_its_slot_and_so_does_what_nobody_else_needs() {
    let mut scene = crowd(2).await;
    let (first, second) = (scene.any_account().await, scene.any_account().await);
    post(&mut scene, first, 1..2, Act::Fetch(SOME)).await;
    scene.run_for(Duration::from_millis(200)).await;
    post(&mut scene, second, 2..3, Act::Fetch(NOTHING)).await;
    scene.run_for(Duration::from_secs(4)).await;
    assert!(!scene.backend.calls().iter().any(|call| matches!(call, Call::Dropped(_))), "nobody waits for a slot");
    let third = scene.any_account().await;
    post(&mut scene, third, 3..4, Act::Fetch(SOME)).await;
    scene.run_for(Duration::from_millis(600)).await;
    let dropped = scene.backend.calls().into_iter().filter(|call| matches!(call, Call::Dropped(_))).collect::<Vec<_>>();
    assert_eq!(dropped, [Call::Dropped(root(2))]);
}

#[tokio::test(start_paused = true)]
async fn an_accounts_new_root_has_the_slot_of_one_of_its_own_of_which_nothing_comes() {
    let mut scene = crowd(4).await;
    let account = scene.any_account().await;
    post(&mut scene, account, 1..4, Act::Fetch(NOTHING)).await;
    scene.run_for(Duration::from_secs(2)).await;
    let request = scene.post(account, &root(9)).await;
    scene.worker.bell.notify_one();
    scene.run_for(Duration::from_secs(1)).await;
    assert_eq!(scene.read(&request).await.status, Status::Pinned);
}

#[tokio::test(start_paused = true)]
async fn a_root_that_was_found_before_its_search_was_settled_is_woken_after() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fail(nobody())]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.worker.finder.try_send(root(1)).expect("there is room");
    scene.run_for(Duration::from_secs(1)).await;
    assert_eq!(scene.read(&request).await.status, Status::Pinned);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_named_before_a_vain_search_was_settled_is_asked_at_once() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fail(nobody())]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.post_from(account, &root(1), vec![address(1)]).await;
    scene.run_for(Duration::from_secs(1)).await;
    assert_eq!(scene.read(&request).await.status, Status::Pinned);
}

#[tokio::test(start_paused = true)]
async fn roots_that_nobody_has_are_through_a_first_round_at_once() {
    let mut scene = crowd(4).await;
    let account = scene.any_account().await;
    let requests = post(&mut scene, account, 0..100, Act::Fail(nobody())).await;
    let steps = scene.run_for(Duration::from_secs(5)).await;
    for request in &requests {
        assert!(scene.root(request).await.waiting);
    }
    assert!(steps <= 51, "{steps} steps in five seconds");
}
