//! What a person is told of origins that did not help.

use std::time::Duration;

use futures::StreamExt;
use libp2p::core::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, SwarmBuilder, identify, noise, tcp, yamux};
use pinrail_ipfs_embedded::FetchError;
use tokio::task::JoinHandle;

use crate::support::{TestNode, flat, raw, request};

/// What is told of a fetch of something that nobody has from these origins.
async fn told(sink: &TestNode, origins: &[Multiaddr]) -> String {
    let mut wanted = request(raw(&b"nobody has it"[..]).0, origins);
    wanted.no_source_timeout = Duration::from_secs(1);
    match sink.node.fetch(wanted).await {
        Err(FetchError::NotProvided { tried, .. }) => tried,
        other => panic!("nobody has it: {other:?}"),
    }
}

/// A peer that says of itself what it speaks, and nothing else.
async fn peer_without_bitswap() -> (Multiaddr, JoinHandle<()>) {
    let swarm = SwarmBuilder::with_new_identity().with_tokio();
    let swarm = swarm.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default);
    let swarm = swarm
        .expect("a transport")
        .with_behaviour(|key| identify::Behaviour::new(identify::Config::new("test".to_owned(), key.public())))
        .expect("a behaviour");
    let mut swarm =
        swarm.with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_mins(1))).build();
    let peer = *swarm.local_peer_id();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr")).expect("it listens");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with(Protocol::P2p(peer));
        }
    };
    let task = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    (address, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_speaks_no_bitswap_is_told_as_that() {
    let (address, task) = peer_without_bitswap().await;
    let sink = TestNode::start().await;
    // What it speaks is known by the end of the first fetch, or on a busy machine by that of a later one.
    let wanted = "the one origin was reached and does not speak bitswap, no other peer is connected";
    let mut last = String::new();
    for _ in 0..20 {
        last = told(&sink, std::slice::from_ref(&address)).await;
        if last == wanted {
            break;
        }
    }
    assert_eq!(last, wanted);
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_another_transport_is_told_as_that() {
    let peer = PeerId::random();
    let addresses = ["/ip4/127.0.0.1/udp/4001/quic-v1/webtransport", "/dns4/example.org/tcp/443/https"];
    let addresses = addresses.map(|text| text.parse::<Multiaddr>().expect("a multiaddr").with(Protocol::P2p(peer)));
    let told = told(&TestNode::start().await, &addresses).await;
    assert!(
        told.starts_with(
            "the one origin has no address of a transport that this service dials, which are TCP, QUIC and WebSocket"
        ),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_policy_refuses_is_told_as_that() {
    let private = |host: u8| format!("/ip4/10.0.0.{host}/tcp/1/p2p/{}", PeerId::random()).parse().expect("a multiaddr");
    let sink = TestNode::start_public().await;
    let one = told(&sink, &[private(1)]).await;
    assert!(one.starts_with("the one origin is in a network that this service does not dial"), "{one}");
    let two = told(&sink, &[private(1), private(2)]).await;
    assert!(two.starts_with("all 2 origins are in networks that this service does not dial"), "{two}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_that_sends_is_counted_as_connected() {
    let dag = flat(3, 1_000, 73);
    let root = dag[3].0;
    let (sink, sibling) = (TestNode::start().await, TestNode::start().await);
    // It has all but one block.
    crate::support::put_blocks(sibling.node.store(), root, &dag[1..]).await;
    sink.node.set_fellows(sibling.node.addresses());
    while sink.node.connected_peers() == 0 {
        tokio::task::yield_now().await;
    }
    let mut wanted = request(root, &[]);
    wanted.answer_timeout = Some(Duration::from_secs(1));
    let ended = sink.node.fetch(wanted).await;
    let Err(FetchError::NotProvided { tried, .. }) = ended else { panic!("a block is missing: {ended:?}") };
    assert_eq!(tried, "no usable origins were given, one connected peer was asked");
}
