//! Blocks over each transport, and which of them is dialled.

use libp2p::core::multiaddr::Protocol;
use pinrail_ipfs_embedded::{Multiaddr, NodeLimits, NotReached};

use crate::support::{TestNode, flat};

const LISTEN: [&str; 3] = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0/ws"];

/// A node that listens on every transport.
async fn listening(limits: NodeLimits) -> TestNode {
    let listen = LISTEN.map(|text| text.parse().expect("a multiaddr")).to_vec();
    TestNode::start_with(|options| (options.listen, options.limits) = (listen, limits)).await.expect("the node starts")
}

fn address_with(node: &TestNode, part: &Protocol<'_>) -> Multiaddr {
    let mut addresses = node.node.addresses().into_iter();
    addresses.find(|address| address.iter().nth(2).as_ref() == Some(part)).expect("it listens there")
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_come_over_every_transport() {
    let source = listening(NodeLimits::default()).await;
    let blocks = flat(30, 100_000, 500);
    source.put(blocks[30].0, &blocks).await;
    for part in [Protocol::P2p(source.node.peer_id()), Protocol::QuicV1, Protocol::Ws("/".into())] {
        let sink = TestNode::start().await;
        let address = address_with(&source, &part);
        let fetched = sink.fetch(blocks[30].0, std::slice::from_ref(&address)).await;
        assert_eq!(fetched.unwrap_or_else(|error| panic!("{address}: {error}")).blocks, 31);
        assert!(sink.node.stats().bytes_in > 3_000_000, "the bytes are counted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_quic_connections_than_the_limit_are_refused_and_tcp_is_not() {
    let node = listening(NodeLimits { quic: 1, ..NodeLimits::default() }).await;
    let quic = address_with(&node, &Protocol::QuicV1);
    let (first, second) = (TestNode::start().await, TestNode::start().await);
    assert_eq!(first.node.connect(quic.clone()).await, Ok(()));
    assert_eq!(second.node.connect(quic).await, Err(NotReached));
    let tcp = address_with(&node, &Protocol::P2p(node.node.peer_id()));
    assert_eq!(second.node.connect(tcp).await, Ok(()));
    assert_eq!(node.node.stats().refused.incoming, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_refused_on_every_transport() {
    let node = listening(NodeLimits::default()).await;
    let sink = TestNode::start_public().await;
    for address in node.node.addresses() {
        assert_eq!(sink.node.connect(address).await, Err(NotReached));
    }
    let Some(Protocol::Tcp(port)) = address_with(&node, &Protocol::Ws("/".into())).iter().nth(1) else {
        panic!("a WebSocket is over TCP");
    };
    let Some(Protocol::Udp(udp)) = address_with(&node, &Protocol::QuicV1).iter().nth(1) else {
        panic!("QUIC is over UDP");
    };
    // The gate is below DNS: a name is judged by what it resolves to.
    let peer = node.node.peer_id();
    for text in [
        format!("/dns4/localhost/tcp/{port}/ws/p2p/{peer}"),
        format!("/dns4/localhost/tcp/{port}/tls/ws/p2p/{peer}"),
        format!("/dns4/localhost/udp/{udp}/quic-v1/p2p/{peer}"),
    ] {
        let refused = sink.node.stats().refused_dials;
        assert_eq!(sink.node.connect(text.parse().expect("a multiaddr")).await, Err(NotReached), "{text}");
        assert!(sink.node.stats().refused_dials > refused, "{text}");
    }
    assert_eq!(node.node.connected_peers(), 0);
}
