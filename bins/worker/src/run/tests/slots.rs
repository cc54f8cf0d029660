//! Leases that are taken ahead of the slots.

use std::time::Duration;

use pinrail_domain::{AccountId, DagSize, PinRequest, Policy, RootState};

use super::backend::{Act, Call};
use super::scene::{Scene, root};
use crate::run::work::Work;

const SOME: DagSize = DagSize { blocks: 3, bytes: 700 };

/// A worker with four slots whose last step settled as many quick roots as one account may have, so that it takes
/// leases ahead from then on.
async fn quick() -> (Scene, AccountId) {
    let mut scene = Scene::with_policy(Policy { slots: 4, ..Policy::default() }).await;
    let account = scene.any_account().await;
    for number in 1..=20 {
        scene.post(account, &root(number)).await;
    }
    scene.step().await;
    assert_eq!(scene.worker.works.len(), 3, "no account has the last quarter");
    (scene, account)
}

async fn post_slow(scene: &mut Scene, account: AccountId, numbers: std::ops::Range<u8>) -> Vec<PinRequest> {
    let mut requests = Vec::new();
    for number in numbers {
        scene.backend.script(&root(number), [Act::Fetch(SOME)]);
        requests.push(scene.post(account, &root(number)).await);
    }
    requests
}

fn begun(scene: &Scene) -> Vec<u8> {
    let begun = |call: Call| match call {
        Call::Pin { root, .. } => root.multihash.last().copied(),
        _ => None,
    };
    scene.backend.calls().into_iter().filter_map(begun).collect()
}

#[tokio::test(start_paused = true)]
async fn quick_roots_are_not_held_up_by_the_number_of_slots() {
    let (mut scene, account) = quick().await;
    for number in 21..=60 {
        scene.post(account, &root(number)).await;
    }
    let steps = scene.run_for(Duration::from_secs(1)).await;
    assert!((1..=60).all(|number| scene.backend.holds(&root(number))));
    assert!(steps <= 12, "{steps} steps, of which each would have settled three roots");
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_slot_goes_back_with_no_attempt_spent() {
    let (mut scene, account) = quick().await;
    let slow = post_slow(&mut scene, account, 30..40).await;
    until_some_wait(&mut scene, &slow).await;
    for _ in 0..3 {
        scene.step_after(Duration::from_secs(1)).await;
    }
    assert!(scene.worker.waiting.is_empty(), "{:?}", scene.worker.waiting);
    let mut attempts = Vec::new();
    for request in &slow {
        attempts.push(scene.root(request).await.attempts);
    }
    assert_eq!(attempts.iter().sum::<u32>(), 3, "those that run: {attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn no_account_gets_the_last_quarter_of_the_slots_from_what_waits_either() {
    let (mut scene, ada) = quick().await;
    let slow = post_slow(&mut scene, ada, 30..40).await;
    until_some_wait(&mut scene, &slow).await;
    let bob = scene.any_account().await;
    post_slow(&mut scene, bob, 50..51).await;
    for _ in 0..3 {
        scene.step_after(Duration::from_secs(1)).await;
    }
    let running = |account| {
        let works = scene.worker.works.values().filter(|work| work.runs());
        works.filter(|work| work.lease.account == Some(account)).count()
    };
    assert_eq!((running(ada), running(bob)), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_dropped_when_nobody_wants_it_any_more() {
    let (mut scene, account) = quick().await;
    let slow = post_slow(&mut scene, account, 30..40).await;
    let waiting = until_some_wait(&mut scene, &slow).await;
    let key = waiting.pin.cid.root();
    scene.remove(&waiting).await;
    begun(&scene);
    scene.step().await;
    assert!(!scene.worker.waiting.contains(&key));
    assert!(scene.worker.works.get(&key).is_none_or(Work::is_release), "all that is left is to unpin it");
    assert!(!begun(&scene).contains(key.multihash.last().expect("a digest")));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_given_back_at_a_shutdown() {
    let (mut scene, account) = quick().await;
    let slow = post_slow(&mut scene, account, 30..40).await;
    until_some_wait(&mut scene, &slow).await;
    scene.drain().await;
    for request in &slow {
        let seen = scene.root(request).await;
        assert!(seen.attempts == 0 && seen.state != RootState::Failed, "{seen:?}");
        assert!(seen.due.is_none_or(|due| due <= scene.clock.now()), "{seen:?}");
    }
}

/// Take steps until one of these waits for a slot.
async fn until_some_wait(scene: &mut Scene, requests: &[PinRequest]) -> PinRequest {
    for _ in 0..20 {
        let waits = |request: &&PinRequest| scene.worker.waiting.contains(&request.pin.cid.root());
        if let Some(waiting) = requests.iter().find(waits) {
            return waiting.clone();
        }
        scene.step().await;
    }
    panic!("none of them ever waited for a slot");
}
