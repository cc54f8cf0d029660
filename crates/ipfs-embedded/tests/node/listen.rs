//! Where a node says that it can be dialled.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;

use crate::support::TestNode;

/// The address from which this machine would reach another, if it has a network.
fn outer_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent by this.
    socket.connect("198.51.100.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() => Some(ip),
        _ => None,
    }
}

fn ips(addresses: &[Multiaddr]) -> Vec<Ipv4Addr> {
    let ip = |address: &Multiaddr| match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip,
        other => panic!("it listens on IPv4 only: {other:?}"),
    };
    addresses.iter().map(ip).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_every_interface_names_what_others_can_dial() {
    let wildcard = "/ip4/0.0.0.0/tcp/0".parse().expect("a multiaddr");
    let node = TestNode::start_with(|options| options.listen = vec![wildcard]).await.expect("the node starts");
    let Some(outer) = outer_address() else {
        assert_eq!(ips(&node.node.addresses()), [Ipv4Addr::LOCALHOST]);
        return;
    };
    let named = loop {
        let named = ips(&node.node.addresses());
        assert!(!named.is_empty());
        if named.contains(&outer) {
            break named;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(!named.iter().any(Ipv4Addr::is_loopback), "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_addresses_are_named_as_they_are() {
    let announced = ["/ip4/10.0.0.7/tcp/4401", "/dns4/pins.example.net/tcp/4401", "/ip4/127.0.0.1/tcp/4401"];
    let announced = announced.map(|text| text.parse::<Multiaddr>().expect("a multiaddr")).to_vec();
    let node = TestNode::start_with(|options| options.announce = announced.clone()).await.expect("the node starts");
    let peer = Protocol::P2p(node.node.peer_id());
    let named = announced.into_iter().map(|address| address.with(peer.clone())).collect::<Vec<_>>();
    assert_eq!(node.node.addresses(), named);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_families_are_listened_on_with_one_port() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it is bound").port();
    let wanted = [format!("/ip4/0.0.0.0/tcp/{port}"), format!("/ip6/::/tcp/{port}")];
    let wanted = wanted.map(|text| text.parse().expect("a multiaddr")).to_vec();
    let node = TestNode::start_with(|options| options.listen = wanted.clone()).await.expect("the node starts");
    TcpStream::connect(("127.0.0.1", port)).expect("it listens on IPv4");
    if TcpListener::bind("[::1]:0").is_ok() {
        TcpStream::connect(("::1", port)).expect("it listens on IPv6");
    }
    let second = TestNode::start_with(|options| options.listen = wanted).await.err().expect("the port is taken");
    assert!(second.to_string().contains("in use"), "{second}");
    drop(node);
}
