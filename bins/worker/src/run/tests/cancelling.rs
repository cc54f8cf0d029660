//! What becomes of work that is wanted no longer: deleted, replaced, wanted again, or taken over.

use std::time::Duration;

use pinrail_domain::{DagSize, FailureReason, LeaseToken, NodeId, Phase, RootFailure, RootState, Verdict};
use pinrail_ipfs::IpfsError;
use pinrail_spec::{Status, Timestamp};
use pinrail_storage::{NodeRegistration, Nodes, PinRequests, RootQueue, Settlement};

use super::backend::{Act, Call};
use super::scene::{PEER, Scene, address, root};

const SOME: DagSize = DagSize { blocks: 3, bytes: 700 };

#[tokio::test(start_paused = true)]
async fn deleting_the_last_request_ends_the_fetch_within_the_step_and_releases_the_root() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fetch(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.remove(&request).await;
    scene.step().await;
    let calls = scene.backend.calls();
    let begun = Call::Pin { root: root(1), previous: None };
    assert_eq!(calls[..2], [begun, Call::Dropped(root(1))]);
    assert_eq!(calls.last(), Some(&Call::Unpin(root(1))), "unpinned only once the fetch was gone: {calls:?}");
    scene.step().await;
    assert!(scene.worker.works.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pin_goes_on_while_another_account_wants_it() {
    let mut scene = Scene::new().await;
    let (ada, bob) = (scene.any_account().await, scene.any_account().await);
    scene.backend.script(&root(1), [Act::PinWhenTold(SOME)]);
    let first = scene.post(ada, &root(1)).await;
    let second = scene.post(bob, &root(1)).await;
    scene.step().await;
    scene.remove(&first).await;
    scene.step().await;
    scene.backend.told.notify_one();
    scene.step().await;
    assert_eq!(scene.read(&second).await.status, Status::Pinned);
    assert_eq!(scene.backend.calls(), [Call::Pin { root: root(1), previous: None }]);
}

#[tokio::test(start_paused = true)]
async fn a_post_after_the_delete_wins_over_the_release() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step().await;
    scene.remove(&request).await;
    scene.step().await;
    let again = scene.post(account, &root(1)).await;
    assert_eq!(again.status, Status::Queued, "it has to be looked at again before it counts");
    for _ in 0..3 {
        scene.step().await;
    }
    assert_eq!(scene.read(&again).await.status, Status::Pinned);
    assert!(scene.backend.holds(&root(1)), "what is called pinned is there");
}

#[tokio::test(start_paused = true)]
async fn replacing_unpins_the_old_root_only_after_the_new_one_is_pinned() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let old = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step().await;
    scene.backend.script(&root(2), [Act::PinWhenTold(SOME)]);
    let new = scene.replace(&old, &root(2)).await;
    for _ in 0..3 {
        scene.step().await;
    }
    assert!(scene.backend.holds(&root(1)), "the old one stays while the new one is on its way");
    scene.backend.told.notify_one();
    for _ in 0..3 {
        scene.step().await;
    }
    assert_eq!(scene.read(&new).await.status, Status::Pinned);
    let calls = scene.backend.calls();
    let told = Call::Pin { root: root(2), previous: Some(root(1)) };
    let begun = calls.iter().position(|call| *call == told).expect("the new one is told what it replaces");
    let unpinned = calls.iter().position(|call| *call == Call::Unpin(root(1))).expect("the old one goes");
    assert!(begun < unpinned);
    assert!(!scene.backend.holds(&root(1)));
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_at_half_time() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::Fetch(SOME)]);
    scene.post(account, &root(1)).await;
    scene.step().await;
    let until = |scene: &Scene| scene.worker.works[&root(1)].lease.until;
    let first = until(&scene);
    scene.step_after(Duration::from_secs(29)).await;
    assert_eq!(until(&scene), first);
    scene.step_after(Duration::from_secs(1)).await;
    assert_eq!(until(&scene), first + Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_is_renewed_before_its_work_is_settled() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::PinWhenTold(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    // An outage of an hour: the fetch goes on and ends.
    scene.advance(Duration::from_hours(1)).await;
    scene.backend.told.notify_one();
    scene.step().await;
    assert_eq!(
        scene.read(&request).await.status,
        Status::Pinning,
        "the database may take what a step asks in any order"
    );
    scene.step().await;
    assert_eq!(scene.read(&request).await.status, Status::Pinned);
    assert_eq!(scene.backend.calls(), [Call::Pin { root: root(1), previous: None }]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_settled_is_not_renewed() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::PinWhenTold(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.advance(Duration::from_secs(40)).await;
    scene.backend.told.notify_one();
    scene.storage.refuse(&["renew"]);
    scene.step().await;
    assert_eq!(scene.read(&request).await.status, Status::Pinned);
}

#[tokio::test(start_paused = true)]
async fn a_root_that_waits_is_found_although_the_answer_to_its_settling_was_lost() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let nobody = IpfsError::NotProvided { phase: Phase::Finding, tried: "nobody".to_owned(), missing: None };
    scene.backend.script(&root(1), [Act::Fail(nobody)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    let (lease, now) = (scene.worker.works[&root(1)].lease.clone(), scene.clock.now());
    let failure = RootFailure {
        phase: Phase::Finding,
        reason: FailureReason::NoProviderFound,
        details: String::new(),
        missing: None,
    };
    let verdict = Verdict::Wait { due: now + Duration::from_mins(1), failure };
    let settled = scene.storage.settle(&[Settlement { lease: lease.key, verdict }], now).await;
    assert_eq!(settled, Ok(vec![Ok(())]));
    scene.backend.calls();
    scene.step().await;
    assert!(scene.root(&request).await.waiting);
    assert_eq!((scene.worker.works.len(), scene.backend.calls()), (0, vec![]), "it is not forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_worker_took_meanwhile_settles_nothing() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::PinWhenTold(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.advance(Duration::from_hours(1)).await;
    let (other, now) = (register_another(&scene).await, scene.clock.now());
    let until = now + Duration::from_mins(1);
    let taken = scene.storage.lease_due(&other, now, until, 8, 8).await.expect("storage answers");
    assert_eq!(taken.len(), 1, "a node that is silent for an hour gives its roots away");
    scene.backend.told.notify_one();
    scene.step().await;
    assert_eq!(scene.root(&request).await.state, RootState::Pinning);
    assert!(scene.worker.works.is_empty());
    assert_ne!(taken[0].key.token, LeaseToken::new(now, [0; 10]));
    assert_eq!(scene.storage.renew(&[taken[0].key.clone()], until).await, Ok(vec![true]));
}

async fn register_another(scene: &Scene) -> NodeId {
    let id = NodeId::new(Timestamp::from_millis(0), [8; 10]);
    let backend = pinrail_domain::Backend::Embedded;
    let node = NodeRegistration { id, backend, peer_id: PEER.to_owned(), addresses: vec![address(2)] };
    scene.storage.register_node(&node, scene.clock.now()).await.expect("storage answers");
    id
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_root_that_is_being_released_cancels_nothing_of_others() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let kept = scene.post(account, &root(2)).await;
    let gone = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.step().await;
    scene.remove(&gone).await;
    for _ in 0..3 {
        scene.step().await;
    }
    assert!(scene.backend.holds(&root(2)) && !scene.backend.holds(&root(1)));
    assert_eq!(scene.read(&kept).await.status, Status::Pinned);
    let found = scene.storage.find_pin_request(&account, &gone.id, scene.clock.now()).await;
    assert_eq!(found, Ok(None));
}
