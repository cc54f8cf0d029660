//! Fellow workers' nodes: connected without being asked, and asked first.

use std::time::Duration;

use pinrail_domain::Phase;
use pinrail_ipfs_embedded::FetchError;

use crate::script::{Script, read_message};
use crate::support::{TestNode, flat, request};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fellow_holds_is_fetched_from_it_without_origins() {
    let blocks = flat(20, 10_000, 91);
    let root = blocks[20].0;
    let (fellow, node) = (TestNode::with(root, &blocks).await, TestNode::start().await);
    let mut fellows = fellow.node.addresses();
    fellows.extend(node.node.addresses());
    node.node.set_fellows(fellows);
    assert_eq!(node.fetch(root, &[]).await.expect("the fellow has it").blocks, 21);
    assert_eq!(node.node.connected_peers(), 1, "its own address is no fellow's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fellow_is_dialled_again_after_it_was_gone() {
    let node = TestNode::start().await;
    let fellow = TestNode::start().await;
    let addresses = fellow.node.addresses();
    node.node.set_fellows(addresses.clone());
    let until = |connected: usize| {
        let node = &node.node;
        async move {
            while node.connected_peers() != connected {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    until(1).await;
    let (keypair, folder) = (fellow.keypair, fellow.folder);
    fellow.node.stop().await;
    until(0).await;
    // The same node elsewhere, as after a restart.
    let back = TestNode::resume(keypair, folder).await;
    node.node.set_fellows(back.node.addresses());
    until(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fellows_that_do_not_have_it_hold_nothing_up_and_are_not_told_of() {
    let blocks = flat(200, 1000, 92);
    let root = blocks[200].0;
    let (origin, fellow, node) =
        (TestNode::with(root, &blocks).await, TestNode::start().await, TestNode::start().await);
    node.node.set_fellows(fellow.node.addresses());
    assert_eq!(node.fetch(root, &origin.node.addresses()).await.expect("the origin has it").blocks, 201);

    let nobody = flat(1, 100, 93)[1].0;
    let mut wanted = request(nobody, &[]);
    wanted.no_source_timeout = Duration::from_secs(1);
    let FetchError::NotProvided { phase, tried, .. } = node.node.fetch(wanted).await.expect_err("nobody has it") else {
        panic!("another error");
    };
    assert_eq!(phase, Phase::Finding);
    assert!(tried.starts_with("no usable origins were given"), "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fellow_is_asked_for_blocks_at_once() {
    let wanted = flat(1, 100, 94)[1].0;
    let (fellow, node) = (Script::start().await, TestNode::start().await);
    node.node.set_fellows(vec![fellow.address.clone()]);
    let fetch = node.fetch(wanted, &[]);
    let asked = async {
        let message = read_message(&mut fellow.accept().await).await.expect("it is asked");
        let bytes = wanted.to_bytes();
        assert!(message.windows(bytes.len()).any(|window| window == bytes), "for the root");
    };
    tokio::select! {
        fetched = fetch => panic!("nobody has it: {fetched:?}"),
        () = asked => {}
    }
}
