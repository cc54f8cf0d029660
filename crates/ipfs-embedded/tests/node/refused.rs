//! Roots that nobody has: the fetch ends as soon as everybody has said so, and goes on when somebody has what is missing.

use std::time::Duration;

use pinrail_ipfs_embedded::{FetchError, FetchRequest, Multiaddr};

use crate::script::{Script, read_message};
use crate::support::{TestNode, flat, raw, request};

/// A request that ends only because everybody has answered, or never.
fn patient(root: cid::Cid, origins: &[Multiaddr]) -> FetchRequest {
    let long = Duration::from_hours(1);
    let mut request = request(root, origins);
    (request.no_source_timeout, request.stall_timeout, request.answer_timeout) = (long, long, Some(long));
    request
}

fn missing(ended: Result<impl std::fmt::Debug, FetchError>) -> String {
    match ended {
        Err(FetchError::NotProvided { missing, .. }) => missing.block.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn connect(node: &TestNode, to: &[&TestNode]) {
    for other in to {
        node.node.connect(other.node.addresses()[0].clone()).await.expect("it is reached");
    }
    while node.node.connected_peers() < to.len() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_ends_at_once_when_there_is_nobody_to_ask() {
    let nobodys = raw(&b"nobody has this"[..]).0;
    let node = TestNode::start().await;
    assert_eq!(missing(node.node.fetch(patient(nobodys, &[])).await), nobodys.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_ends_when_all_peers_lack_it_and_no_origin_is_being_dialled() {
    let nobodys = raw(&b"nobody has this"[..]).0;
    let (node, gone) = (TestNode::start().await, TestNode::start().await);
    let (one, other, origin) = (TestNode::start().await, TestNode::start().await, TestNode::start().await);
    connect(&node, &[&one, &other]).await;
    let origins = [origin.node.addresses(), gone.node.addresses()].concat();
    gone.node.stop().await;
    assert_eq!(missing(node.node.fetch(patient(nobodys, &origins)).await), nobodys.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_is_not_waited_for() {
    let nobodys = raw(&b"nobody has this"[..]).0;
    let (node, silent) = (TestNode::start().await, Script::start().await);
    node.node.connect(silent.address.clone()).await.expect("it is reached");
    while node.node.connected_peers() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut wanted = patient(nobodys, &[]);
    wanted.answer_timeout = Some(Duration::from_millis(300));
    let fetch = node.node.fetch(wanted);
    let asked = async { read_message(&mut silent.accept().await).await.expect("it is asked") };
    let (ended, _) = tokio::join!(fetch, asked);
    assert_eq!(missing(ended), nobodys.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_watched_for_and_not_the_root_that_somebody_has() {
    let dag = flat(1, 10, 7);
    let (leaf, root) = (dag[0].0, dag[1].0);
    let node = TestNode::start().await;
    let with_root = TestNode::start().await;
    with_root.put_part(root, &dag[1..]).await;
    connect(&node, &[&with_root]).await;
    assert_eq!(missing(node.node.fetch(patient(root, &[])).await), leaf.to_string());

    node.node.watch_for_block((&root).into(), (&leaf).into());
    let again = TestNode::start().await;
    again.put_part(root, &dag[1..]).await;
    let whole = TestNode::with(root, &dag).await;
    connect(&node, &[&again, &with_root]).await;
    node.node.connect(whole.node.addresses()[0].clone()).await.expect("it is reached");
    let sighting = node.node.next_sighting().await;
    assert_eq!((sighting.root, sighting.peer), ((&root).into(), whole.node.peer_id()));
    assert_eq!(node.node.fetch(patient(root, &[])).await.expect("it is there").blocks, 2);
}
