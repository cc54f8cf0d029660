//! The routing table and the server's side: libp2p-kad with our configuration, and who gets into the table.
//!
//! libp2p-kad itself asks others only to bootstrap: when the table is small, and every ten minutes, which also keeps our
//! addresses with the servers closest to us.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::core::multiaddr::Protocol;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig, RecordStore};
use libp2p::kad::{self, BucketInserts, Caching, Config, InboundRequest, KBucketKey, StoreInserts};
use libp2p::{Multiaddr, PeerId, StreamProtocol, identify};
use pinrail_spec::without_wrapping;
use tokio::sync::{mpsc, oneshot};

use super::wire::{PeerInfo, address_of};
use crate::bitswap::wire::MAX_MESSAGE_BYTES;
use crate::gate::OutboundGate;

/// The DHT of the public network.
pub const WAN: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");
/// The DHT of nodes that reach each other by private addresses.
pub const LAN: StreamProtocol = StreamProtocol::new("/ipfs/lan/kad/1.0.0");

const PARALLELISM: NonZeroUsize = NonZeroUsize::new(10).expect("it is not zero");
const BOOTSTRAP_INTERVAL: Duration = Duration::from_mins(10);
const QUERY_LIMIT: Duration = Duration::from_secs(30);
/// Keys whose providers a server keeps, some 5 kB each.
const MAX_PROVIDED_KEYS: usize = 16_384;
/// Servers of the table, and of one bucket, that are of one network: whoever has a network must not have the table.
const MAX_OF_NETWORK: usize = 3;
const MAX_OF_NETWORK_IN_BUCKET: usize = 2;

/// libp2p-kad as the node has it.
pub type Behaviour = kad::Behaviour<MemoryStore>;

/// Something to do with the table.
#[derive(Debug)]
pub enum Command {
    /// Name the servers closest to a key, at most k.
    Closest {
        /// The bytes whose SHA-256 is the key.
        preimage: Vec<u8>,
        /// Told the servers, the closest first.
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    /// Let a server in that just answered.
    Admit(PeerInfo),
    /// Take out a server that did not answer.
    Remove(PeerId),
}

/// A behaviour for the DHT of `protocol`, which answers others only as a server.
pub fn behaviour(own: PeerId, protocol: StreamProtocol, is_server: bool) -> Behaviour {
    let mut config = Config::new(protocol);
    config
        .set_max_packet_size(MAX_MESSAGE_BYTES)
        .set_parallelism(PARALLELISM)
        .set_query_timeout(QUERY_LIMIT)
        .set_periodic_bootstrap_interval(Some(BOOTSTRAP_INTERVAL))
        .set_kbucket_inserts(BucketInserts::Manual)
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_caching(Caching::Disabled)
        .set_provider_publication_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(None);
    let store = MemoryStoreConfig { max_provided_keys: MAX_PROVIDED_KEYS, ..MemoryStoreConfig::default() };
    let mut behaviour = Behaviour::with_config(own, MemoryStore::with_config(own, store), config);
    // Left to itself it would serve as soon as any address of ours is taken for public.
    behaviour.set_mode(Some(if is_server { kad::Mode::Server } else { kad::Mode::Client }));
    behaviour
}

/// Who gets into the table.
#[derive(Debug)]
pub struct Table {
    own: PeerId,
    gate: OutboundGate,
    protocol: StreamProtocol,
    /// Servers that are to be asked before they are let in.
    candidates: mpsc::Sender<PeerInfo>,
}

impl Table {
    /// A table of servers that speak `protocol` and that `gate` lets us dial. `candidates` takes those that are to be
    /// asked first; while it is full, others are left out.
    pub fn new(own: PeerId, protocol: StreamProtocol, gate: OutboundGate, candidates: mpsc::Sender<PeerInfo>) -> Self {
        Self { own, gate, protocol, candidates }
    }

    /// Does what was asked for.
    pub fn handle(&self, kad: &mut Behaviour, command: Command) {
        match command {
            Command::Closest { preimage, reply } => {
                let key = KBucketKey::new(preimage);
                let near = kad.find_closest_local_peers(&key, &self.own);
                let near = near.map(|peer| self.usable(peer.node_id, peer.multiaddrs)).collect();
                // Whoever asked may have gone.
                let _gone = reply.send(near);
            }
            Command::Admit(server) => admit(kad, &server),
            Command::Remove(server) => drop(kad.remove_peer(&server)),
        }
    }

    /// A peer said of itself what it speaks and where it listens.
    pub fn identified(&self, kad: &mut Behaviour, peer: PeerId, info: &identify::Info) {
        if info.protocols.contains(&self.protocol) {
            self.consider(kad, self.usable(peer, info.listen_addrs.clone()));
        }
    }

    /// Takes in an event of libp2p-kad.
    pub fn note(&self, kad: &mut Behaviour, event: kad::Event) {
        match event {
            kad::Event::RoutablePeer { peer, address } => self.consider(kad, self.usable(peer, vec![address])),
            kad::Event::InboundRequest { request: InboundRequest::AddProvider { record: Some(mut record) } } => {
                record.addresses = self.usable(record.provider, record.addresses).full_addresses();
                if let Err(error) = kad.store_mut().add_provider(record) {
                    tracing::debug!(%error, "a provider record is not kept");
                }
            }
            // Values are not kept, and the queries to bootstrap are told of by the servers that they meet.
            kad::Event::InboundRequest { .. }
            | kad::Event::OutboundQueryProgressed { .. }
            | kad::Event::RoutingUpdated { .. }
            | kad::Event::UnroutablePeer { .. }
            | kad::Event::PendingRoutablePeer { .. }
            | kad::Event::ModeChanged { .. } => {}
        }
    }

    /// Have a server asked whether it answers, if there is room for it.
    fn consider(&self, kad: &mut Behaviour, server: PeerInfo) {
        if !server.addresses.is_empty() && !is_present(kad, &server.id) && has_room(kad, &server) {
            // More that are to be asked than fit are met again.
            let _full = self.candidates.try_send(server);
        }
    }

    /// A peer with those of its addresses that may be dialled.
    fn usable(&self, id: PeerId, addresses: Vec<Multiaddr>) -> PeerInfo {
        let mut peer = PeerInfo { id, addresses: Vec::new() };
        let addresses = addresses.into_iter().filter_map(|address| address_of(&id, address));
        peer.extend(addresses.filter(|address| self.gate.check(address).is_ok()));
        peer
    }
}

fn admit(kad: &mut Behaviour, server: &PeerInfo) {
    let may_enter = is_present(kad, &server.id) || has_room(kad, server);
    for address in server.addresses.iter().filter(|_| may_enter) {
        kad.add_address(&server.id, address.clone());
    }
}

/// Whether the networks of a server's public addresses have room for one more.
fn has_room(kad: &mut Behaviour, server: &PeerInfo) -> bool {
    let networks = Network::all_of(server.addresses.iter());
    let bucket = kad.kbucket(server.id).map(|bucket| bucket.range());
    let (mut in_table, mut in_bucket) = (0, 0);
    for other in kad.kbuckets() {
        let is_same = bucket.as_ref() == Some(&other.range());
        let alike = other.iter().filter(|entry| !networks.is_disjoint(&Network::all_of(entry.node.value.iter())));
        let alike = alike.count();
        in_table += alike;
        in_bucket += if is_same { alike } else { 0 };
    }
    in_table < MAX_OF_NETWORK && in_bucket < MAX_OF_NETWORK_IN_BUCKET
}

fn is_present(kad: &mut Behaviour, peer: &PeerId) -> bool {
    let bucket = kad.kbucket(*peer);
    bucket.is_some_and(|bucket| bucket.iter().any(|entry| entry.node.key.preimage() == peer))
}

/// A /16 of IPv4 or a /32 of IPv6, as it is counted in go-libp2p-kad-dht; private addresses are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 2]),
    V6([u16; 2]),
}

impl Network {
    fn of(address: &Multiaddr) -> Option<Self> {
        let ip: IpAddr = match address.iter().next()? {
            Protocol::Ip4(ip) => ip.into(),
            Protocol::Ip6(ip) => ip.into(),
            _ => return None,
        };
        pinrail_spec::is_public_ip(ip).then(|| match without_wrapping(ip) {
            IpAddr::V4(ip) => Self::V4([ip.octets()[0], ip.octets()[1]]),
            IpAddr::V6(ip) => Self::V6([ip.segments()[0], ip.segments()[1]]),
        })
    }

    fn all_of<'a>(addresses: impl Iterator<Item = &'a Multiaddr>) -> HashSet<Self> {
        addresses.filter_map(Self::of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::DialPolicy;

    fn new(allow_private: bool) -> (Table, Behaviour, mpsc::Receiver<PeerInfo>) {
        let (candidates, waiting) = mpsc::channel(8);
        let gate = OutboundGate::new(DialPolicy { allow_private, never: Vec::new() });
        let own = PeerId::random();
        (Table::new(own, WAN, gate, candidates), behaviour(own, WAN, false), waiting)
    }

    fn at(address: &str) -> PeerInfo {
        PeerInfo { id: PeerId::random(), addresses: vec![address.parse().expect("a multiaddr")] }
    }

    fn size(kad: &mut Behaviour) -> usize {
        kad.kbuckets().map(|bucket| bucket.num_entries()).sum()
    }

    #[test]
    fn no_network_has_more_than_its_places() {
        let (table, mut kad, _candidates) = new(false);
        for index in 0..50 {
            table.handle(&mut kad, Command::Admit(at(&format!("/ip4/8.8.{index}.1/tcp/4001"))));
        }
        assert!((1..=MAX_OF_NETWORK).contains(&size(&mut kad)));
        for index in 0..50 {
            table.handle(&mut kad, Command::Admit(at(&format!("/ip6/2a00:1450:{index}::1/tcp/4001"))));
        }
        assert!((2..=2 * MAX_OF_NETWORK).contains(&size(&mut kad)));
        for index in 1..10 {
            table.handle(&mut kad, Command::Admit(at(&format!("/ip4/9.{index}.1.1/tcp/4001"))));
        }
        assert!(size(&mut kad) > 9, "other networks have places of their own");
    }

    #[test]
    fn private_networks_are_not_counted() {
        let (table, mut kad, _candidates) = new(true);
        for index in 1..=20 {
            table.handle(&mut kad, Command::Admit(at(&format!("/ip4/127.0.0.1/tcp/{index}"))));
        }
        assert!(size(&mut kad) > MAX_OF_NETWORK);
    }

    #[test]
    fn a_server_is_named_while_it_is_in_the_table() {
        let (table, mut kad, _candidates) = new(false);
        let server = at("/ip4/8.8.8.8/tcp/4001");
        let closest = |kad: &mut Behaviour| {
            let (reply, mut closest) = oneshot::channel();
            table.handle(kad, Command::Closest { preimage: b"any".to_vec(), reply });
            closest.try_recv().expect("it is told at once")
        };
        table.handle(&mut kad, Command::Admit(server.clone()));
        assert_eq!(closest(&mut kad), std::slice::from_ref(&server));
        table.handle(&mut kad, Command::Remove(server.id));
        assert_eq!(closest(&mut kad), []);
    }

    #[test]
    fn those_who_speak_the_protocol_at_a_usable_address_are_candidates() {
        let (table, mut kad, mut candidates) = new(false);
        let mut identify = |protocols: &[StreamProtocol], addresses: &[&str]| {
            let keypair = libp2p::identity::Keypair::generate_ed25519();
            let info = identify::Info {
                public_key: keypair.public(),
                protocol_version: String::new(),
                agent_version: String::new(),
                listen_addrs: addresses.iter().map(|address| address.parse().expect("a multiaddr")).collect(),
                protocols: protocols.to_vec(),
                observed_addr: Multiaddr::empty(),
                signed_peer_record: None,
            };
            table.identified(&mut kad, keypair.public().to_peer_id(), &info);
            candidates.try_recv().ok().map(|candidate| candidate.addresses)
        };
        let (public, private) = ("/ip4/8.8.8.8/tcp/4001", "/ip4/10.0.0.1/tcp/4001");
        assert_eq!(identify(&[WAN], &[private, public]), Some(vec![public.parse().expect("a multiaddr")]));
        assert_eq!(identify(&[LAN], &[public]), None);
        assert_eq!(identify(&[WAN], &[private]), None);
        assert_eq!(size(&mut kad), 0, "they are asked first");
    }
}
