//! An IPFS node inside the worker: bitswap, fetches of whole DAGs, and the connections for them.

mod address_block;
mod admission;
#[cfg_attr(not(test), expect(dead_code, reason = "the task that announces is not there yet"))]
mod announce;
mod asking;
mod attempts;
mod backend;
mod bans;
mod bitswap;
mod connections;
mod counters;
mod dht;
mod dial;
mod fellows;
mod fetch;
mod gate;
mod identity;
mod known_peers;
mod limits;
mod network;
mod node;
mod options;
mod peer_routing;
mod reach;
mod receive;
mod redial;
mod routing;
mod transport;
mod watch;
mod web;

pub use attempts::DialCounts;
pub use backend::{Clock, EmbeddedBackend};
pub use counters::{NodeStats, RefusedConnections};
pub use fetch::{FetchError, FetchRequest};
pub use gate::DialPolicy;
pub use identity::load_or_create_key;
pub use libp2p::identity::Keypair;
pub use libp2p::{Multiaddr, PeerId};
pub use limits::NodeLimits;
pub use network::NotReached;
pub use node::Node;
pub use options::{NodeError, NodeOptions};
pub use peer_routing::PeerRouting;
pub use routing::{DhtMode, FinderStats, RouterUrl, RouterUrlError, RoutingOptions};
pub use watch::Sighting;
