//! Content that is found in the DHT or at routers: servers of libp2p-kad and sockets in this process say who provides
//! it.

use std::time::Duration;

use cid::Cid;
use futures::{FutureExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, RecordStore};
use libp2p::kad::{self, ProviderRecord, RecordKey};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use pinrail_ipfs_embedded::{DhtMode, FetchError, RouterUrl, RoutingOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{TestNode, flat, raw, request};

const LAN: StreamProtocol = StreamProtocol::new("/ipfs/lan/kad/1.0.0");

/// A provider record: who is said to have what, and where.
struct Record {
    key: Cid,
    provider: PeerId,
    addresses: Vec<Multiaddr>,
}

impl Record {
    fn of(key: Cid, node: &TestNode) -> Self {
        Self { key, provider: node.node.peer_id(), addresses: node.node.addresses() }
    }

    /// A record of a peer that cannot be reached.
    fn stale(key: Cid) -> Self {
        let addresses = vec!["/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddr")];
        Self { key, provider: PeerId::random(), addresses }
    }
}

/// A DHT server that keeps these records, and runs until the test ends; its address.
async fn server(records: Vec<Record>) -> Multiaddr {
    server_that_knows(&[], records).await
}

/// A DHT server that also knows where these peers are.
async fn server_that_knows(peers: &[(PeerId, Multiaddr)], records: Vec<Record>) -> Multiaddr {
    let builder = SwarmBuilder::with_existing_identity(Keypair::generate_ed25519()).with_tokio();
    let builder = builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default);
    let builder = builder.expect("a transport").with_behaviour(|keypair| {
        let own = keypair.public().to_peer_id();
        let mut kad = kad::Behaviour::with_config(own, MemoryStore::new(own), kad::Config::new(LAN));
        kad.set_mode(Some(kad::Mode::Server));
        for (peer, address) in peers {
            kad.add_address(peer, address.clone());
        }
        for Record { key, provider, addresses } in records {
            let record = ProviderRecord::new(RecordKey::new(&key.hash().to_bytes()), provider, addresses);
            kad.store_mut().add_provider(record).expect("it is kept");
        }
        kad
    });
    let builder = builder.expect("a behaviour");
    let mut swarm = builder.with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX)).build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr")).expect("it listens");
    let own = *swarm.local_peer_id();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with_p2p(own).expect("it names no peer yet");
        }
    };
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    address
}

/// A node that enters the DHT through this server.
async fn node(server: Multiaddr) -> TestNode {
    node_with(RoutingOptions { dht: DhtMode::Client, bootstrap: vec![server], routers: Vec::new() }).await
}

async fn node_with(routing: RoutingOptions) -> TestNode {
    TestNode::start_with(|options| options.routing = routing).await.expect("the node starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_record_names_is_fetched_without_origins() {
    let blocks = flat(20, 1_000, 700);
    let root = blocks[20].0;
    let provider = TestNode::with(root, &blocks).await;
    let server = server(vec![Record::of(root, &provider), Record::stale(root)]).await;
    let sink = node(server).await;
    let fetched = sink.fetch_patiently(root, &[]).await.expect("it is fetched");
    assert_eq!(fetched.blocks, 21);
    let stats = sink.node.stats().finder;
    assert_eq!((stats.lookups, stats.providers), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_is_announced_and_found_by_others() {
    let blocks = flat(20, 1_000, 730);
    let root = blocks[20].0;
    let server = server(Vec::new()).await;
    let origin = TestNode::with(root, &blocks).await;
    let keeper = node(server.clone()).await;
    keeper.fetch_patiently(root, &origin.node.addresses()).await.expect("it is fetched");
    drop(origin);
    while keeper.node.stats().announce.new_roots == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reader = node(server).await;
    let fetched = reader.fetch_patiently(root, &[]).await.expect("the keeper is found");
    assert_eq!(fetched.blocks, 21);
    let announced = keeper.node.stats().announce;
    assert_eq!((announced.new_roots, announced.records, announced.has_no_address), (1, 1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_the_origin_lacks_is_looked_up_by_its_own_cid() {
    let blocks = flat(5, 1_000, 710);
    let (root, missing) = (blocks[5].0, &blocks[2]);
    let origin = TestNode::start().await;
    let held = blocks.iter().filter(|block| block.0 != missing.0).cloned().collect::<Vec<_>>();
    origin.put_part(root, &held).await;
    let other = TestNode::with(missing.0, std::slice::from_ref(missing)).await;
    let sink = node(server(vec![Record::of(missing.0, &other)]).await).await;
    let fetched = sink.fetch_patiently(root, &origin.node.addresses()).await.expect("it is fetched");
    assert_eq!(fetched.blocks, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_out_of_reach_are_told_apart_from_none() {
    let (stale, unknown) = (raw(&b"its provider is gone"[..]).0, raw(&b"nobody announced this"[..]).0);
    let sink = node(server(vec![Record::stale(stale)]).await).await;
    let tried = async |root: Cid| {
        let mut request = request(root, &[]);
        request.answer_timeout = Some(Duration::from_secs(1));
        request.no_source_timeout = Duration::from_mins(5);
        match sink.node.fetch(request).await {
            Err(FetchError::NotProvided { tried, .. }) => tried,
            other => panic!("{other:?}"),
        }
    };
    assert!(tried(stale).await.ends_with("one provider was found and could not be reached"));
    assert!(tried(unknown).await.ends_with("no provider was found in the DHT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_after_the_fetch_ended_wakes_its_root() {
    let blocks = flat(1, 10, 720);
    let root = blocks[1].0;
    let provider = TestNode::with(root, &blocks).await;
    let server = server(vec![Record::of(root, &provider)]).await;
    let sink = node(server).await;
    let mut impatient = request(root, &[]);
    impatient.no_source_timeout = Duration::ZERO;
    let ended = sink.node.fetch(impatient).await;
    assert!(matches!(ended, Err(FetchError::NotProvided { .. })), "{ended:?}");
    sink.node.watch_for((&root).into());
    let sighting = sink.node.next_sighting().await;
    assert_eq!((sighting.root, sighting.peer), ((&root).into(), provider.node.peer_id()));
    sink.fetch_patiently(root, &[]).await.expect("it is fetched");
    assert_eq!(sink.node.stats().finder.lookups, 1, "what was found is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_named_by_its_id_alone_is_looked_up() {
    let blocks = flat(5, 1_000, 740);
    let root = blocks[5].0;
    let origin = TestNode::with(root, &blocks).await;
    let known = (origin.node.peer_id(), origin.node.addresses()[0].clone());
    let sink = node(server_that_knows(&[known], Vec::new()).await).await;
    let bare = format!("/p2p/{}", origin.node.peer_id()).parse().expect("a multiaddr");
    let fetched = sink.fetch_patiently(root, &[bare]).await.expect("it is fetched");
    assert_eq!(fetched.blocks, 6);
}

/// Takes a connection and reads the request on it.
async fn asked(router: &TcpListener) -> TcpStream {
    let (mut stream, _) = router.accept().await.expect("a connection");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    stream
}

async fn router() -> (TcpListener, RouterUrl) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url.parse().expect("a URL"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_router_names_is_fetched_while_another_hangs() {
    let blocks = flat(20, 1_000, 730);
    let root = blocks[20].0;
    let provider = TestNode::with(root, &blocks).await;
    let ((hanging, first), (answering, second)) = (router().await, router().await);
    let routers = vec![first, second];
    let sink = node_with(RoutingOptions { routers, ..RoutingOptions::default() }).await;
    let answer = async {
        let addresses = provider.node.addresses().iter().map(|address| format!(r#""{address}""#)).collect::<Vec<_>>();
        let (id, addresses) = (provider.node.peer_id(), addresses.join(","));
        let record = format!(r#"{{"Schema":"peer","ID":"{id}","Addrs":[{addresses}]}}"#);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
        let mut stream = asked(&answering).await;
        stream.write_all(format!("{head}{record}\n").as_bytes()).await.expect("it is read");
    };
    let (fetched, mut question, ()) = tokio::join!(sink.fetch_patiently(root, &[]), asked(&hanging), answer);
    assert_eq!(fetched.expect("it is fetched").blocks, 21);
    let still_asks = question.read_u8().now_or_never().is_none();
    assert!(still_asks, "the fetch did not wait for the router that hangs");
}
