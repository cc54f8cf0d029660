//! Announcing to servers of libp2p-kad in this process.

use std::collections::HashSet;

use libp2p::multihash::Multihash;
use libp2p::{Multiaddr, PeerId};

use super::explore::explore;
use super::send::{Sent, send};
use crate::dht::hostile_tests::{Reply, scripted};
use crate::dht::tests::{Servers, TestNode, find_providers, key};
use crate::dht::{Answer, Client, K, PeerInfo, Prefix, Request, address_of, encode_answer};
use crate::routing::DhtMode;

fn own(node: &TestNode) -> PeerInfo {
    let addresses: Vec<Multiaddr> = vec!["/ip4/127.0.0.1/tcp/4401".parse().expect("a multiaddr")];
    PeerInfo { id: node.node.peer_id(), addresses }
}

/// The servers that name this node as a provider of a key.
async fn holders(client: &Client, servers: &[PeerInfo], key: &Multihash<64>, own: PeerId) -> HashSet<PeerId> {
    let mut holders = HashSet::new();
    for server in servers {
        let answer = client.ask(server.clone(), &Request::GetProviders(&key.to_bytes()).encode()).await;
        if answer.expect("it answers").providers.iter().any(|provider| provider.id == own) {
            holders.insert(server.id);
        }
    }
    holders
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_reaches_the_servers_that_are_to_keep_it() {
    let servers = Servers::new(50).await;
    let keys = (0..30_u8).map(|index| key(&[index])).collect::<Vec<_>>();
    let expected = keys.iter().map(|key| servers.closest(&key.to_bytes())).collect::<Vec<_>>();
    let all = servers.all.clone();
    let addresses = servers.run();
    let node = TestNode::start(DhtMode::Client, &addresses[..2]).await;
    let region = explore(node.dht(), Prefix::ALL).await.expect("the network answers");
    assert_eq!(region.len(), 50);
    let (client, own) = (node.dht().client(), own(&node));
    let sent = send(client, &own, &keys, &region).await;
    assert_eq!(sent, Sent { servers: 50, reached: 50, records: 30 * K, ..Sent::default() });
    let finder = TestNode::start(DhtMode::Client, &addresses[7..8]).await;
    for (key, expected) in keys.iter().zip(expected).step_by(10) {
        assert_eq!(holders(finder.dht().client(), &all, key, own.id).await, expected);
    }
    assert_eq!(find_providers(finder.dht(), &keys[3]).await, [own]);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_tell_who_keeps_the_records() {
    let node = TestNode::start(DhtMode::Client, &[]).await;
    let (own, keys) = (own(&node), (0..200_u8).map(|index| key(&[index])).collect::<Vec<_>>());
    let is_record = |request: &[u8]| request.starts_with(&[0x08, 2]);
    let answer = encode_answer(&Answer { closer: Vec::new(), providers: vec![own.clone()] });
    let keeping = move |request: &[u8]| if is_record(request) { Reply::Nothing } else { Reply::Answer(answer.clone()) };
    let refusing = move |request: &[u8]| if is_record(request) { Reply::End } else { Reply::Nothing };
    let gone = PeerInfo { id: PeerId::random(), addresses: vec!["/ip4/127.0.0.1/tcp/1".parse().expect("an address")] };
    let nothing = Sent { servers: 1, ..Sent::default() };
    for (server, expected) in [
        (scripted(keeping).await, Sent { reached: 1, records: 200, confirmed: 1, ..nothing }),
        (scripted(refusing).await, Sent { refused: 1, ..nothing }),
        (gone, nothing),
    ] {
        let region = [(server.key(), server)];
        assert_eq!(send(node.dht().client(), &own, &keys, &region).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_serves_keeps_records_and_names_them() {
    let server = TestNode::start(DhtMode::Server, &[]).await;
    let addresses = server.node.addresses();
    let (provider, finder) =
        (TestNode::start(DhtMode::Client, &addresses).await, TestNode::start(DhtMode::Client, &addresses).await);
    let (own, keys) = (own(&provider), [key(b"pinned")]);
    let region = explore(provider.dht(), Prefix::ALL).await.expect("the server answers");
    let sent = send(provider.dht().client(), &own, &keys, &region).await;
    assert_eq!((sent.servers, sent.reached, sent.records), (1, 1, 1));
    assert_eq!(find_providers(finder.dht(), &keys[0]).await, [own]);
    // A client answers nobody.
    let id = provider.node.peer_id();
    let addresses = provider.node.addresses().into_iter().filter_map(|address| address_of(&id, address)).collect();
    let client = PeerInfo { id, addresses };
    let asked = finder.dht().client().ask(client, &Request::FindNode(b"any").encode()).await;
    // It is connected to, and then the protocol is refused.
    assert_eq!(asked.expect_err("it does not serve").kind(), std::io::ErrorKind::Other);
}
