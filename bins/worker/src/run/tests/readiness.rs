//! When a worker says that it is ready.

use std::sync::Arc;

use pinrail_storage::Nodes;
use tokio::sync::watch;

use super::scene::{Scene, address};
use crate::health::Health;

#[tokio::test(start_paused = true)]
async fn a_worker_that_starts_again_elsewhere_is_ready_only_once_that_is_registered() {
    let scene = Scene::new().await;
    *scene.backend.addresses.lock().expect("nobody panicked") = vec![address(4402)];
    // The database still counts the node as alive, with the address of its last run.
    let mut scene = scene.restarted();
    let (_stop, stopping) = watch::channel(false);
    let (storage, backend) = (Arc::clone(&scene.storage), Arc::clone(&scene.backend));
    let health = Health::new(storage, backend, scene.worker.node, scene.worker.registered(), stopping);
    assert_eq!(health.check().await, Err("the node is not registered yet".to_owned()));
    scene.step().await;
    assert_eq!(health.check().await, Ok(()));
    let nodes = scene.storage.list_nodes().await.expect("storage answers");
    assert_eq!(nodes[0].addresses, [address(4402)]);
}
