//! Fellow workers' nodes: whom the node is told of, and when.

use std::time::Duration;

use pinrail_domain::{Backend, NodeId};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::{NodeRegistration, Nodes};

use super::scene::{Scene, address};

const A_BEAT: Duration = Duration::from_secs(20);

/// Another worker registers its node, which can be dialled at this port.
async fn register(scene: &Scene, port: u16, backend: Backend) -> (NodeId, Multiaddr) {
    let [high, low] = port.to_be_bytes();
    let id = NodeId::new(Timestamp::from_millis(0), [high, low, 0, 0, 0, 0, 0, 0, 0, 0]);
    let peer_id = "12D3KooWScripted".to_owned();
    let node = NodeRegistration { id, backend, peer_id, addresses: vec![address(port)] };
    scene.storage.register_node(&node, scene.clock.now()).await.expect("it is registered");
    (id, address(port))
}

#[tokio::test(start_paused = true)]
async fn fellows_are_known_with_the_next_sign_of_life() {
    let mut scene = Scene::new().await;
    assert_eq!(scene.backend.fellows(), []);
    let (_, first) = register(&scene, 5001, Backend::Embedded).await;
    register(&scene, 5002, Backend::Kubo).await;
    let (_, second) = register(&scene, 5003, Backend::Embedded).await;
    scene.step_after(A_BEAT / 2).await;
    assert_eq!(scene.backend.fellows(), [], "there is no more to read than signs of life to give");
    scene.step_after(A_BEAT / 2).await;
    assert_eq!(scene.backend.fellows(), [first, second], "not its own node, and none that is not embedded");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_starts_knows_its_fellows_at_once() {
    let scene = Scene::new().await;
    let (_, fellow) = register(&scene, 5001, Backend::Embedded).await;
    let mut scene = scene.restarted();
    scene.step().await;
    assert_eq!(scene.backend.fellows(), [fellow]);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_a_fellow_as_long_as_it_is_heard_of() {
    let mut scene = Scene::new().await;
    let (heard, first) = register(&scene, 5001, Backend::Embedded).await;
    let (retired, second) = register(&scene, 5002, Backend::Embedded).await;
    scene.storage.retire_node(&retired, scene.clock.now()).await.expect("it is retired");
    scene.step_after(A_BEAT).await;
    assert_eq!(scene.backend.fellows(), [first.clone(), second], "what a retired one held is wanted elsewhere");
    scene.step_after(Duration::from_mins(5)).await;
    assert_eq!(scene.backend.fellows(), []);
    scene.storage.beat(&heard, scene.clock.now()).await.expect("it is registered");
    scene.step_after(A_BEAT).await;
    assert_eq!(scene.backend.fellows(), [first]);
}
