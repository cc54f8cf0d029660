//! What a node may hold for others, and how much of it is one peer's or one network's.

use std::time::Duration;

/// How many connections and how much memory a node may have. An address block is a /24 of IPv4 or a /48 of IPv6.
#[derive(Debug, Clone)]
pub struct NodeLimits {
    /// Connections that strangers opened.
    pub incoming: u32,
    /// Those of them that are from one address block.
    pub incoming_per_block: u32,
    /// When most of their places are taken, those are closed that have said nothing for this long.
    pub stranger_idle: Duration,
    /// Further connections that are kept for siblings, named origins and peers that gave us blocks.
    pub kept: u32,
    /// Connections that we opened.
    pub outgoing: u32,
    /// Connections over QUIC among all of these. Each may hold 2 MiB of received bytes and 10 MiB of sent ones that are in
    /// no budget.
    pub quic: u32,
    /// Connections being set up by others.
    pub pending_incoming: u32,
    /// Those of them that are from one address block, and one when half of the places are taken.
    pub pending_per_block: u32,
    /// Connections with one peer.
    pub per_peer: u32,
    /// Banned peers of one address block that ban all strangers of it.
    pub banned_per_block: u32,
    /// Memory for bytes that were received and not dealt with yet: half is kept for siblings, named origins and peers
    /// that gave us blocks, one peer may have an eighth and the strangers of one address block a quarter.
    pub receive_bytes: usize,
    /// Memory for blocks that are being sent: half is kept as above, the strangers of one address block may have a
    /// quarter.
    pub serve_bytes: usize,
    /// Streams that one peer with a backlog is served on at once, 1 to 16. Each holds a message of at most 2 MiB.
    pub serve_streams: u32,
    /// New connections are refused while the process holds more memory than this, in bytes.
    pub memory: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            incoming: 768,
            incoming_per_block: 128,
            stranger_idle: Duration::from_secs(20),
            kept: 256,
            outgoing: 512,
            quic: 96,
            pending_incoming: 1_024,
            pending_per_block: 32,
            per_peer: 4,
            banned_per_block: 8,
            receive_bytes: 128 << 20,
            serve_bytes: 64 << 20,
            serve_streams: 8,
            memory: 2 << 30,
        }
    }
}
