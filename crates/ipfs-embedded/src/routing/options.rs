//! How a node finds the providers of what it fetches, as its operator decides.

use libp2p::Multiaddr;

/// The part that a node takes in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DhtMode {
    /// None.
    #[default]
    Off,
    /// It asks and announces.
    Client,
    /// It answers others too, and keeps their records in memory: at most 16,384 keys. Meant for small private networks.
    Server,
}

/// How a node finds providers.
///
/// It is the public DHT (`/ipfs/kad/1.0.0`), or where private addresses may be dialled, that of private networks
/// (`/ipfs/lan/kad/1.0.0`). DHT servers learn which CIDs are looked for.
#[derive(Debug, Clone, Default)]
pub struct RoutingOptions {
    /// The part that it takes in the DHT.
    pub dht: DhtMode,
    /// Servers through which it enters the DHT; addresses that end in `/p2p/<peer id>`.
    pub bootstrap: Vec<Multiaddr>,
}
