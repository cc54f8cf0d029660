//! Fetches that go on from what an earlier attempt left in the store.

use std::pin::pin;
use std::time::Duration;

use futures::poll;
use pinrail_domain::DagSize;
use tokio::sync::watch;

use crate::support::{TestNode, flat, put_blocks, request};

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_was_dropped_is_resumed_from_what_is_there() {
    let blocks = flat(400, 32 << 10, 7);
    let root = blocks[400].0;
    let source = TestNode::start().await;
    let whole = source.put(root, &blocks).await;
    let sink = TestNode::start().await;
    let mut wanted = request(root, &source.node.addresses());
    let (progress, mut seen) = watch::channel(DagSize::default());
    wanted.progress = progress;
    tokio::select! {
        ended = sink.node.fetch(wanted) => panic!("it was to be dropped before: {ended:?}"),
        part = seen.wait_for(|totals| totals.blocks >= 5) => assert!(part.is_ok()),
    }
    let TestNode { node, keypair, folder } = sink;
    node.stop().await;
    let sink = TestNode::resume(keypair, folder).await;
    assert_eq!(sink.fetch(root, &source.node.addresses()).await.expect("it is fetched"), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_over_what_is_there_may_take_longer_than_a_stall() {
    let blocks = flat(2_000, 100, 12);
    let root = blocks[2_000].0;
    let source = TestNode::start().await;
    let whole = source.put(root, &blocks).await;
    let sink = TestNode::start().await;
    // All but the last leaf, which the walk comes to last.
    let (last, there) = (blocks[1_999].0, [&blocks[..1_999], &blocks[2_000..]].concat());
    put_blocks(sink.node.store(), root, &there).await;
    assert!(!sink.has(&last));
    let mut wanted = request(root, &source.node.addresses());
    let (progress, seen) = watch::channel(DagSize::default());
    (wanted.progress, wanted.stall_timeout) = (progress, Duration::from_secs(2));
    let mut fetch = pin!(sink.node.fetch(wanted));
    while seen.borrow().blocks == 0 {
        assert!(poll!(fetch.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(seen.borrow().blocks < 1_999, "the walk is over");
    // So long nothing is wanted, since the walk stands still.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(fetch.await.expect("it is fetched"), whole);
}
