//! A database that refuses now and then: nothing is lost, and little is said.

use std::time::Duration;

use pinrail_domain::{DagSize, RootState};
use pinrail_spec::Status;
use pinrail_storage::StorageError;

use super::backend::{Act, Call};
use super::scene::{Scene, listen, root};

const SOME: DagSize = DagSize { blocks: 3, bytes: 700 };

#[tokio::test(start_paused = true)]
async fn leases_are_taken_once_the_database_gives_them() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let request = scene.post(account, &root(1)).await;
    scene.storage.refuse(&["lease_due"; 2]);
    for _ in 0..2 {
        assert!(matches!(scene.try_step().await, Err(StorageError::Unavailable(_))));
        assert_eq!(scene.read(&request).await.status, Status::Queued);
    }
    scene.step().await;
    scene.step().await;
    assert_eq!(scene.read(&request).await.status, Status::Pinned);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_goes_on_while_its_lease_cannot_be_renewed_or_read() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.backend.script(&root(1), [Act::PinWhenTold(SOME)]);
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.backend.calls();
    // It is renewed when half of its minute is over.
    scene.storage.refuse(&["read_leases", "read_leases", "report_progress", "renew"]);
    for went_well in [false, false, false, true, true, true, true] {
        scene.advance(Duration::from_secs(10)).await;
        assert_eq!(scene.try_step().await.is_ok(), went_well);
    }
    assert_eq!(scene.backend.calls(), [], "nothing was dropped and nothing begun anew");
    scene.backend.told.notify_one();
    scene.step().await;
    scene.step().await;
    let read = scene.read(&request).await;
    assert_eq!((read.status, read.root.attempts), (Status::Pinned, 1));
}

#[tokio::test(start_paused = true)]
async fn what_ended_is_settled_once_the_database_takes_it() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    let request = scene.post(account, &root(1)).await;
    scene.step().await;
    scene.storage.refuse(&["settle"; 3]);
    for _ in 0..3 {
        assert!(matches!(scene.try_step().await, Err(StorageError::Unavailable(_))));
    }
    assert_eq!(scene.root(&request).await.state, RootState::Pinning);
    scene.step().await;
    assert_eq!(scene.read(&request).await.status, Status::Pinned);
    let pins = scene.backend.calls().into_iter().filter(|call| matches!(call, Call::Pin { .. })).count();
    assert_eq!(pins, 1, "it is not fetched again");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_said_once_and_its_end_once() {
    let mut scene = Scene::new().await;
    let account = scene.any_account().await;
    scene.post(account, &root(1)).await;
    let said = listen();
    scene.storage.refuse(&["lease_due"; 5]);
    for _ in 0..8 {
        scene.worker.try_step(true).await;
        scene.idle().await;
    }
    let said = said.lines();
    let count = |what: &str| said.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count("settling is put off, fetches go on"), 1, "{said:?}");
    assert_eq!(count("the database answers again"), 1, "{said:?}");
    assert!(count(" WARN ") + count(" ERROR ") == 1, "{said:?}");
}
