//! Kademlia: the distributed hash table in which IPFS nodes say what they provide.
//!
//! libp2p-kad keeps the routing table and is the server's side. Questions go out by our own look-ups on our own streams,
//! since its queries yield providers without addresses, dial past the node's bounds and keep no count of their cost.

mod ask;
#[cfg(test)]
pub mod hostile_tests;
mod keyspace;
mod lookup;
mod maintenance;
mod search;
mod streams;
mod table;
#[cfg(test)]
pub mod tests;
mod wire;

use std::collections::BTreeMap;

use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::ask::Client;
pub use self::keyspace::{Key, Prefix, closest, covered};
pub use self::lookup::Dht;
pub use self::search::K;
pub use self::streams::Behaviour as StreamsBehaviour;
pub use self::table::{Behaviour as KadBehaviour, Command as TableCommand, Table};
#[cfg(test)]
pub use self::wire::{Answer, encode_answer};
pub use self::wire::{PeerInfo, Request, address_of};
use crate::dial::Dialer;
use crate::options::NodeOptions;
use crate::routing::{DhtMode, RoutingOptions};

/// What the DHT adds to the node's swarm.
pub struct Protocols {
    /// The routing table and the server's side.
    pub kad: KadBehaviour,
    /// The streams of our own questions.
    pub streams: StreamsBehaviour,
    /// Who gets into the table.
    pub table: Table,
}

/// The DHT as these options have it, unless it is off: what it adds to the swarm, and the handle for look-ups with the
/// task that keeps the table.
pub fn start(options: &NodeOptions, dialer: &Dialer) -> Option<(Protocols, (Dht, JoinHandle<()>))> {
    let RoutingOptions { dht: mode, bootstrap, .. } = &options.routing;
    let own = options.keypair.public().to_peer_id();
    let protocol = if options.dial.allow_private { table::LAN } else { table::WAN };
    let is_server = match mode {
        DhtMode::Off => return None,
        DhtMode::Client => false,
        DhtMode::Server => true,
    };
    let streams = streams::Streams::default();
    let (candidates, unchecked) = mpsc::channel(maintenance::MAX_CANDIDATES);
    let protocols = Protocols {
        kad: table::behaviour(own, protocol.clone(), is_server),
        streams: StreamsBehaviour::new(protocol.clone(), streams.clone()),
        table: Table::new(own, protocol, dialer.gate.clone(), candidates),
    };
    let client = ask::Client::new(streams, dialer.clone());
    let dht = Dht::new(own, client, dialer.commands.clone(), by_peer(bootstrap));
    Some((protocols, (dht.clone(), tokio::spawn(maintenance::keep_table(dht, unchecked)))))
}

fn by_peer(addresses: &[Multiaddr]) -> Vec<PeerInfo> {
    let mut peers = BTreeMap::new();
    for address in addresses {
        let Some(Protocol::P2p(id)) = address.iter().last() else { continue };
        let peer = peers.entry(id).or_insert_with(|| PeerInfo { id, addresses: Vec::new() });
        peer.extend(wire::address_of(&id, address.clone()));
    }
    peers.into_values().collect()
}
