//! The loop around the steps: its pace, what wakes it, and how it ends.

use std::time::Duration;

use pinrail_domain::{DagSize, Phase, Policy, RootState};
use pinrail_ipfs::IpfsError;
use pinrail_spec::Status;
use pinrail_storage::{Nodes, Storage};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::backend::{Act, Call};
use super::scene::{Scene, address, root, worker};

const SOME: DagSize = DagSize { blocks: 3, bytes: 700 };
const GRACE: Duration = Duration::from_secs(5);

/// Run the scene's worker until the sender is used or dropped.
fn run(scene: &Scene, policy: Policy) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = worker(&scene.storage, &scene.backend, policy);
    let running = worker.run(async move { drop(stopped.await) }, GRACE);
    (stop, tokio::spawn(running))
}

/// Wait in the runtime's time, which moves on by itself as soon as nothing else can go on.
async fn until(scene: &Scene, what: &str, mut is_so: impl AsyncFnMut(&Scene) -> bool) {
    for _ in 0..600 {
        if is_so(scene).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.clock.advance(Duration::from_millis(100));
    }
    panic!("not within a minute: {what}");
}

#[tokio::test(start_paused = true)]
async fn a_post_is_pinned_without_anybody_asking() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let (stop, running) = run(&scene, Policy::default());
    let request = scene.post(account, &root(1)).await;
    until(&scene, "pinned", async |scene| scene.read(&request).await.status == Status::Pinned).await;
    stop.send(()).expect("it runs");
    running.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_connects_wakes_the_root_that_it_has() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let nobody = IpfsError::NotProvided { phase: Phase::Finding, tried: "nobody".to_owned(), missing: None };
    scene.backend.script(&root(1), [Act::Fail(nobody), Act::Pin(SOME)]);
    let slow = Policy { rotation: Duration::from_mins(50), ..Policy::default() };
    let (_stop, _running) = run(&scene, slow);
    let request = scene.post(account, &root(1)).await;
    until(&scene, "waiting", async |scene| scene.root(&request).await.waiting).await;
    scene.backend.find(&root(1));
    until(&scene, "pinned", async |scene| scene.read(&request).await.status == Status::Pinned).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_waiting_roots_are_asked_for_and_unfinished_ones_go_on_at_once() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let nobody = IpfsError::NotProvided { phase: Phase::Finding, tried: "nobody".to_owned(), missing: None };
    scene.backend.script(&root(1), [Act::Fail(nobody)]);
    scene.backend.script(&root(2), [Act::Fetch(SOME), Act::Pin(SOME)]);
    let waiting = scene.post(account, &root(1)).await;
    let unfinished = scene.post(account, &root(2)).await;
    scene.step().await;
    scene.step().await;
    assert!(scene.root(&waiting).await.waiting);
    // The first worker is gone without a word, its lease of the second root still runs.
    let (_stop, _running) = run(&scene, Policy::default());
    until(&scene, "pinned", async |scene| scene.read(&unfinished).await.status == Status::Pinned).await;
    assert!(scene.backend.calls().contains(&Call::LookFor(root(1))));
}

#[tokio::test(start_paused = true)]
async fn at_a_shutdown_what_ends_in_time_is_settled_and_the_rest_is_given_back() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::PinWhenTold(SOME)]);
    scene.backend.script(&root(2), [Act::Fetch(SOME)]);
    let quick = scene.post(account, &root(1)).await;
    let slow = scene.post(account, &root(2)).await;
    let (stop, running) = run(&scene, Policy::default());
    until(&scene, "both begun", async |scene| {
        scene.root(&quick).await.attempts == 1 && scene.root(&slow).await.attempts == 1
    })
    .await;
    stop.send(()).expect("it runs");
    scene.backend.told.notify_one();
    running.await.expect("it ends");
    assert_eq!(scene.read(&quick).await.status, Status::Pinned);
    let seen = scene.root(&slow).await;
    assert_eq!((seen.state, seen.attempts), (RootState::Pinning, 0), "a shutdown spends no attempt");
    assert!(seen.due.is_some_and(|due| due <= scene.clock.now()), "it is due at once: {seen:?}");
    assert!(scene.backend.calls().contains(&Call::Dropped(root(2))));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_moves_says_so_and_keeps_its_leases() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fetch(SOME)]);
    let request = scene.post(account, &root(1)).await;
    assert_eq!(request.delegates, [address(4401)]);
    scene.step().await;
    *scene.backend.addresses.lock().expect("no test panics with it") = vec![address(5)];
    scene.step_after(Duration::from_secs(20)).await;
    let read = scene.read(&request).await;
    assert_eq!((read.delegates, read.root.attempts), (vec![address(5)], 1));
    assert_eq!(scene.worker.works.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_gives_signs_of_life() {
    let mut scene = Scene::new().await;
    let first = scene.storage.list_nodes().await.expect("storage answers")[0].heartbeat;
    scene.step_after(Duration::from_secs(20)).await;
    let second = scene.storage.list_nodes().await.expect("storage answers")[0].heartbeat;
    assert_eq!(second, first + Duration::from_secs(20));
    assert_eq!(scene.storage.now().await, Ok(second));
}
