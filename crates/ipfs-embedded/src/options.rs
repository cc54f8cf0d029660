//! What a node is started with, and why it does not start.

use std::io;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use thiserror::Error;

use crate::gate::DialPolicy;
use crate::limits::NodeLimits;
use crate::routing::RoutingOptions;

/// How a node is started.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its key; see [`crate::load_or_create_key`].
    pub keypair: Keypair,
    /// Where it listens, such as `/ip4/0.0.0.0/tcp/4401`, `/ip4/0.0.0.0/udp/4401/quic-v1` or
    /// `/ip4/127.0.0.1/tcp/4402/ws`.
    pub listen: Vec<Multiaddr>,
    /// Where others can dial it, if that is not where it listens.
    pub announce: Vec<Multiaddr>,
    /// Which addresses it may dial.
    pub dial: DialPolicy,
    /// Its limits.
    pub limits: NodeLimits,
    /// How it finds providers.
    pub routing: RoutingOptions,
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum NodeError {
    /// An address cannot be listened on: in use, not ours, or of another transport.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// The system's own words, the last of what libp2p wraps around them.
        reason: String,
    },
    /// The transport cannot be set up.
    #[error("the network cannot be set up")]
    Transport(#[from] io::Error),
}
