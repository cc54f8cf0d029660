//! What the node connects to, whatever it is asked to dial.

use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use pinrail_ipfs_embedded::{DialPolicy, FetchError};

use crate::support::{Block, TestNode, flat, request};

/// A node on loopback that has a DAG, and spellings of its address.
async fn private_source(blocks: &[Block]) -> (TestNode, Vec<Multiaddr>) {
    let source = TestNode::with(blocks[1].0, blocks).await;
    let peer = source.node.peer_id();
    let Some(Protocol::Tcp(port)) = source.node.addresses()[0].iter().nth(1) else { panic!("it listens on TCP") };
    let spellings = [
        format!("/ip4/127.0.0.1/tcp/{port}"),
        format!("/ip4/8.8.8.8/ip4/127.0.0.1/tcp/{port}"),
        format!("/ip6/2a00:1450::1/ip4/127.0.0.1/tcp/{port}"),
        format!("/ip4/8.8.8.8/tcp/4001/ip4/127.0.0.1/tcp/{port}"),
        format!("/dns4/localhost/tcp/{port}"),
        format!("/dns4/127.0.0.1/tcp/{port}"),
        format!("/ip6/::ffff:127.0.0.1/tcp/{port}"),
        format!("/ip4/0.0.0.0/tcp/{port}"),
    ];
    let address = |text: &String| text.parse::<Multiaddr>().expect("a multiaddr").with(Protocol::P2p(peer));
    (source, spellings.iter().map(address).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_private_address_is_connected_to() {
    let blocks = flat(1, 10, 12);
    let (source, spellings) = private_source(&blocks).await;
    let sink = TestNode::start_public().await;
    for spelling in spellings {
        let mut wanted = request(blocks[1].0, std::slice::from_ref(&spelling));
        wanted.no_source_timeout = Duration::from_millis(300);
        let ended = sink.node.fetch(wanted).await;
        assert!(matches!(ended, Err(FetchError::NotProvided { .. })), "{spelling}: {ended:?}");
        assert_eq!(source.node.connected_peers(), 0, "{spelling}");
    }
    assert!(sink.node.stats().refused_dials > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_never_dialled_is_not_even_where_private_ones_are() {
    let blocks = flat(1, 10, 13);
    let (source, spellings) = private_source(&blocks).await;
    let never = vec!["127.0.0.0/8".parse().expect("a network")];
    let sink = TestNode::start_with(|options| options.dial = DialPolicy { allow_private: true, never });
    let sink = sink.await.expect("the node starts");
    let mut wanted = request(blocks[1].0, &spellings);
    wanted.no_source_timeout = Duration::from_millis(600);
    let ended = sink.node.fetch(wanted).await;
    assert!(matches!(ended, Err(FetchError::NotProvided { .. })), "{ended:?}");
    assert_eq!(source.node.connected_peers(), 0);
}
