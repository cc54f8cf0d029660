//! Crowds of one network: they take no places from others, nor from peers with a reason to be here.

use std::net::Ipv4Addr;
use std::time::Duration;

use pinrail_ipfs_embedded::{NodeLimits, RefusedConnections};

use crate::dials_from::connect_from;
use crate::script::{Script, blocks, write_message};
use crate::support::{TestNode, content, flat, raw, until};

/// A network beside that of the others, which dial from 127.0.0.1.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

#[tokio::test(flavor = "multi_thread")]
async fn half_open_sockets_of_one_network_keep_nobody_else_out() {
    let dag = flat(3, 100, 201);
    let node = TestNode::with(dag[3].0, &dag).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(connect_from(ELSEWHERE, &node.node.addresses()[0]).await.expect("the system accepts it"));
    }
    let victim = TestNode::start().await;
    assert_eq!(victim.fetch_patiently(dag[3].0, &node.node.addresses()).await.expect("it is let in").blocks, 4);
    let refused = node.node.stats().refused;
    assert_eq!((refused.pending, refused.pending_of_block), (0, 300 - 32));
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_sockets_of_many_networks_leave_room_for_one_that_has_none() {
    let limits = NodeLimits { pending_incoming: 16, pending_per_block: 8, ..NodeLimits::default() };
    let dag = flat(3, 100, 203);
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    node.put(dag[3].0, &dag).await;
    let mut silent = Vec::new();
    for network in 1..=8 {
        for _ in 0..8 {
            let from = Ipv4Addr::new(127, 0, network, 1);
            silent.push(connect_from(from, &node.node.addresses()[0]).await.expect("the system accepts it"));
        }
    }
    let victim = TestNode::start().await;
    assert_eq!(victim.fetch(dag[3].0, &node.node.addresses()).await.expect("it is let in").blocks, 4);
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_has_so_many_places_and_others_have_theirs() {
    let limits = NodeLimits { incoming_per_block: 3, ..NodeLimits::default() };
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    let address = node.node.addresses()[0].clone();
    let mut within = Vec::new();
    for _ in 0..3 {
        let peer = Script::start_at(ELSEWHERE).await;
        peer.dial(address.clone());
        peer.open().await;
        within.push(peer);
    }
    let beyond = Script::start_at(ELSEWHERE).await;
    beyond.dial(address.clone());
    beyond.wait_closed().await;
    let other = Script::start().await;
    other.dial(address);
    other.open().await;
    let refused = RefusedConnections { incoming_of_block: 1, ..RefusedConnections::default() };
    assert_eq!((node.node.stats().refused, node.node.connected_peers()), (refused, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_kept_for_siblings() {
    let limits = NodeLimits { incoming: 1, ..NodeLimits::default() };
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    let address = node.node.addresses()[0].clone();
    let (stranger, beyond, sibling) = (Script::start().await, Script::start().await, Script::start().await);
    stranger.dial(address.clone());
    stranger.open().await;
    beyond.dial(address.clone());
    beyond.wait_closed().await;
    // It cannot be dialled where it is said to be, so that it has to come itself.
    let elsewhere = format!("/ip4/127.0.0.1/tcp/1/p2p/{}", sibling.peer_id());
    node.node.set_fellows(vec![elsewhere.parse().expect("a multiaddr")]);
    sibling.dial(address);
    sibling.open().await;
    assert_eq!(node.node.connected_peers(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_that_say_nothing_make_room_for_whoever_comes() {
    let limits = NodeLimits { incoming: 10, stranger_idle: Duration::from_millis(1), ..NodeLimits::default() };
    let dag = flat(3, 100, 202);
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    node.put(dag[3].0, &dag).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        let peer = Script::start().await;
        peer.dial(node.node.addresses()[0].clone());
        silent.push(peer);
    }
    until(|| node.node.stats().closed_for_room == 2).await;
    let victim = TestNode::start().await;
    assert_eq!(victim.fetch_patiently(dag[3].0, &node.node.addresses()).await.expect("it is let in").blocks, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_we_dialled_make_room_too_and_siblings_stay() {
    let limits = NodeLimits { outgoing: 10, stranger_idle: Duration::from_millis(1), ..NodeLimits::default() };
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    let mut peers = Vec::new();
    for _ in 0..10 {
        peers.push(Script::start().await);
    }
    node.node.set_fellows(peers[..8].iter().map(|peer| peer.address.clone()).collect());
    until(|| node.node.connected_peers() == 8).await;
    for other in &peers[8..] {
        node.node.connect(other.address.clone()).await.expect("it is reached");
    }
    for other in &peers[8..] {
        other.wait_closed().await;
    }
    until(|| node.node.connected_peers() == 8).await;
    assert_eq!(node.node.stats().closed_for_room, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn banned_peers_of_one_network_ban_it() {
    let limits = NodeLimits { banned_per_block: 2, ..NodeLimits::default() };
    let node = TestNode::start_with(|options| options.limits = limits).await.expect("the node starts");
    let address = node.node.addresses()[0].clone();
    for salt in 0..2 {
        let liar = Script::start_at(ELSEWHERE).await;
        liar.dial(address.clone());
        let unwanted = (0..8).map(|index| raw(content(100, 1_000 * salt + index))).collect::<Vec<_>>();
        write_message(&mut liar.open().await, &blocks(&unwanted)).await.expect("it is sent");
        liar.wait_closed().await;
    }
    assert_eq!((node.node.stats().bans, node.node.stats().strikes), (2, 16));
    let neighbour = Script::start_at(ELSEWHERE).await;
    neighbour.dial(address.clone());
    until(|| node.node.stats().refused.banned == 1).await;
    let other = Script::start().await;
    other.dial(address);
    other.open().await;
}
