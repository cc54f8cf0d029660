//! Look-ups among servers of libp2p-kad in this process, over real sockets on loopback.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, RecordStore};
use libp2p::kad::{self, ProviderRecord, RecordKey};
use libp2p::multihash::Multihash;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, tcp, yamux};
use pinrail_block_store::{BlockStore, StoreOptions};
use pinrail_ipfs::hash::hash;
use tempfile::TempDir;

use super::keyspace::{Key, closest};
use super::search::K;
use super::table::LAN;
use super::{Dht, PeerInfo};
use crate::bitswap::lock;
use crate::gate::DialPolicy;
use crate::limits::NodeLimits;
use crate::node::Node;
use crate::options::NodeOptions;
use crate::routing::{DhtMode, RoutingOptions};

type Server = Swarm<kad::Behaviour<MemoryStore>>;

/// A swarm over TCP.
pub fn swarm<B: NetworkBehaviour>(behaviour: impl FnOnce(PeerId) -> B) -> Swarm<B> {
    let builder = SwarmBuilder::with_existing_identity(Keypair::generate_ed25519()).with_tokio();
    let builder = builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default);
    let builder = builder.expect("a transport");
    let builder = builder.with_behaviour(|keypair| behaviour(keypair.public().to_peer_id())).expect("a behaviour");
    builder.with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_mins(1))).build()
}

fn kad_server(own: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(LAN);
    config.set_parallelism(NonZeroUsize::MIN).set_periodic_bootstrap_interval(None);
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::new(own), config);
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

pub async fn listen(swarm: &mut Swarm<impl NetworkBehaviour>) -> PeerInfo {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr")).expect("it listens");
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return PeerInfo { id: *swarm.local_peer_id(), addresses: vec![address] };
        }
    }
}

/// Servers that know each other, before they run.
pub struct Servers {
    swarms: Vec<Server>,
    pub all: Vec<PeerInfo>,
}

impl Servers {
    pub async fn new(count: usize) -> Self {
        let (mut swarms, mut all) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let mut server = swarm(kad_server);
            all.push(listen(&mut server).await);
            swarms.push(server);
        }
        for server in &mut swarms {
            // Its own id does not enter its table.
            for other in &all {
                server.behaviour_mut().add_address(&other.id, other.addresses[0].clone());
            }
        }
        Self { swarms, all }
    }

    /// The servers that keep the records of a key.
    pub fn closest(&self, preimage: &[u8]) -> HashSet<PeerId> {
        let keys = self.all.iter().map(|server| Key::of(&server.id.to_bytes())).collect::<Vec<_>>();
        closest(&Key::of(preimage), &keys, K).into_iter().map(|index| self.all[index].id).collect()
    }

    /// Have the servers that keep the records of a key keep this one.
    pub fn provide(&mut self, key: &Multihash<64>, provider: &PeerInfo) {
        let holders = self.closest(&key.to_bytes());
        for server in self.swarms.iter_mut().filter(|server| holders.contains(server.local_peer_id())) {
            let key = RecordKey::new(&key.to_bytes());
            let record = ProviderRecord::new(key, provider.id, provider.addresses.clone());
            server.behaviour_mut().store_mut().add_provider(record).expect("it is kept");
        }
    }

    /// Run until the test ends; the first address of each.
    pub fn run(self) -> Vec<Multiaddr> {
        for mut server in self.swarms {
            tokio::spawn(async move {
                loop {
                    server.select_next_some().await;
                    // They know each other from the start; all of them bootstrapping would be but a load.
                    server.behaviour_mut().iter_queries_mut().for_each(|mut query| query.finish());
                }
            });
        }
        self.all.iter().flat_map(PeerInfo::full_addresses).collect()
    }
}

pub struct TestNode {
    pub node: Node,
    _folder: TempDir,
}

impl TestNode {
    /// A node that enters the DHT through these servers.
    pub async fn start(dht: DhtMode, bootstrap: &[Multiaddr]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = StoreOptions { reserve: 0, ballast: 0, ..StoreOptions::default() };
        let store = BlockStore::open(folder.path(), store).expect("the store opens");
        let options = NodeOptions {
            keypair: Keypair::generate_ed25519(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr")],
            announce: Vec::new(),
            dial: DialPolicy { allow_private: true, never: Vec::new() },
            limits: NodeLimits::default(),
            routing: RoutingOptions { dht, bootstrap: bootstrap.to_vec(), routers: Vec::new() },
        };
        Self { node: Node::start(options, store).await.expect("the node starts"), _folder: folder }
    }

    pub fn dht(&self) -> &Dht {
        self.node.finder.dht().expect("it is on")
    }
}

pub fn key(content: &[u8]) -> Multihash<64> {
    hash(0x12, 32, content).expect("sha2-256")
}

pub fn provider(addresses: &[&str]) -> PeerInfo {
    let addresses = addresses.iter().map(|address| address.parse().expect("a multiaddr")).collect();
    PeerInfo { id: PeerId::random(), addresses }
}

pub async fn find_providers(dht: &Dht, key: &Multihash<64>) -> Vec<PeerInfo> {
    let found = Mutex::new(Vec::new());
    dht.find_providers(key, |provider| lock(&found).push(provider)).await;
    let mut found = found.into_inner().expect("no panic");
    found.sort_by_key(|provider| provider.id);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_found_with_their_addresses() {
    let mut servers = Servers::new(40).await;
    let (key, other) = (key(b"wanted"), key(b"never announced"));
    let mut providers =
        vec![provider(&["/ip4/127.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/2"]), provider(&["/ip4/9.9.9.9/tcp/3"])];
    providers.sort_by_key(|provider| provider.id);
    for provider in &providers {
        servers.provide(&key, provider);
    }
    let addresses = servers.run();
    let node = TestNode::start(DhtMode::Client, &addresses[..3]).await;
    assert_eq!(find_providers(node.dht(), &key).await, providers);
    assert_eq!(find_providers(node.dht(), &other).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closest_servers_are_found() {
    let servers = Servers::new(40).await;
    let truth = (0..5_u8).map(|index| ([index; 40], servers.closest(&[index; 40]))).collect::<Vec<_>>();
    let addresses = servers.run();
    let node = TestNode::start(DhtMode::Client, &addresses[..1]).await;
    for (preimage, expected) in truth {
        let found = node.dht().find_closest(&preimage).await;
        assert_eq!(found.iter().map(|server| server.id).collect::<HashSet<_>>(), expected);
        assert!(found.is_sorted_by_key(|server| Key::of(&server.id.to_bytes()).distance(&Key::of(&preimage))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_addresses_is_looked_up() {
    let mut servers = Servers::new(10).await;
    let key = key(b"wanted");
    // A server is a peer whose addresses the others know.
    let bare = servers.all[7].clone();
    servers.provide(&key, &PeerInfo { addresses: Vec::new(), ..bare.clone() });
    servers.provide(&key, &provider(&[]));
    let addresses = servers.run();
    let node = TestNode::start(DhtMode::Client, &addresses[..1]).await;
    assert_eq!(find_providers(node.dht(), &key).await, std::slice::from_ref(&bare));
    assert_eq!(node.dht().find_peer(bare.id).await, Some(bare));
    assert_eq!(node.dht().find_peer(PeerId::random()).await, None);
}
