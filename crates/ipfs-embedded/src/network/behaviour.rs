//! The protocols of a node, each a behaviour of the swarm.

use std::sync::Arc;
use std::time::Duration;

use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{identify, memory_connection_limits, ping};

use crate::admission;
use crate::bitswap::{self, Exchange, Shared};
use crate::connections;
use crate::dht;
use crate::options::NodeOptions;

/// The protocol version that IPFS nodes name in identify.
const PROTOCOL_VERSION: &str = "ipfs/0.1.0";
/// The agent version of this kind of node in identify.
const AGENT: &str = concat!("pinrail/", env!("CARGO_PKG_VERSION"));

/// How often a peer that stays connected is asked again what it speaks, beside what it says by itself.
const IDENTIFY_INTERVAL: Duration = Duration::from_hours(1);

/// All protocols of a node. The events of a field have an arm of their own in [`super::event`].
///
/// Admission comes first, so that what it refuses reaches no other; those that hand out streams come last: see
/// [`bitswap::Behaviour`] and [`dht::StreamsBehaviour`].
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    admission: admission::Behaviour,
    memory: memory_connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    connections: connections::Behaviour,
    /// The DHT, unless it is off.
    pub kad: Toggle<dht::KadBehaviour>,
    dht_streams: Toggle<dht::StreamsBehaviour>,
    bitswap: bitswap::Behaviour,
}

impl Behaviour {
    /// The protocols of a node with these options.
    pub fn new(
        options: &NodeOptions,
        exchange: Arc<Exchange>,
        kad: Option<dht::KadBehaviour>,
        dht_streams: Option<dht::StreamsBehaviour>,
    ) -> Self {
        let Shared { known, bans, counters, .. } = &exchange.shared;
        let limits = options.limits.clone();
        Self {
            admission: admission::Behaviour::new(limits, known.clone(), bans.clone(), counters.clone()),
            memory: memory_connection_limits::Behaviour::with_max_bytes(options.limits.memory),
            identify: identify::Behaviour::new(identity(options)),
            ping: ping::Behaviour::default(),
            connections: connections::Behaviour::new(options.limits.clone(), exchange.clone()),
            kad: kad.into(),
            dht_streams: dht_streams.into(),
            bitswap: bitswap::Behaviour::new(exchange),
        }
    }
}

/// What this node says of itself in identify. Its addresses are those that the swarm has as external ones.
fn identity(options: &NodeOptions) -> identify::Config {
    identify::Config::new(PROTOCOL_VERSION.to_owned(), options.keypair.public())
        .with_agent_version(AGENT.to_owned())
        .with_interval(IDENTIFY_INTERVAL)
        .with_push_listen_addr_updates(true)
        .with_hide_listen_addrs(true)
        .with_cache_size(0)
}
