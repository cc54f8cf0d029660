//! What a node says of itself to those who connect to it.

use std::net::TcpListener;

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, SwarmBuilder, identify, noise, tcp, yamux};

use crate::support::TestNode;

/// What the node at this address says of itself.
async fn identify(address: Multiaddr) -> identify::Info {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_behaviour(|keypair| {
            identify::Behaviour::new(identify::Config::new("ipfs/0.1.0".to_owned(), keypair.public()))
        })
        .expect("a behaviour")
        .build();
    swarm.dial(address).expect("it can be dialled");
    loop {
        if let SwarmEvent::Behaviour(identify::Event::Received { info, .. }) = swarm.select_next_some().await {
            return info;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_eight_addresses_are_told() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it is bound").port();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}").parse::<Multiaddr>().expect("a multiaddr");
    let announced = (1..=12).map(|port| format!("/ip4/198.51.100.7/tcp/{port}").parse().expect("a multiaddr"));
    let announced = announced.collect::<Vec<Multiaddr>>();
    let start = TestNode::start_with(|options| {
        options.listen = vec![listen.clone()];
        options.announce.clone_from(&announced);
    });
    let _node = start.await.expect("the node starts");
    let mut told = identify(listen).await.listen_addrs;
    told.sort_by_key(|address| announced.iter().position(|known| known == address));
    assert_eq!(told, announced[..8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_private_network_tells_where_it_listens() {
    let node = TestNode::start().await;
    let address = node.node.addresses()[0].clone();
    let info = identify(address.clone()).await;
    let told = info.listen_addrs.into_iter().map(|told| told.with_p2p(node.node.peer_id()).expect("no other peer"));
    assert_eq!(told.collect::<Vec<_>>(), [address]);
    assert!(info.agent_version.starts_with("pinrail/"), "{}", info.agent_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_the_public_network_tells_no_private_address() {
    let node = TestNode::start_public().await;
    assert!(identify(node.node.addresses()[0].clone()).await.listen_addrs.is_empty());
}
