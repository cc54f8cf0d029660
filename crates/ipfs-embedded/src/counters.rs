//! What a node counts, and the plain numbers that it tells.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::announce::AnnounceStats;
use crate::attempts::DialCounts;
use crate::routing::FinderStats;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Add `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Add a number of bytes or items.
    pub fn add_usize(&self, count: usize) {
        self.add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the parts of a node count.
#[derive(Debug, Default)]
pub struct Counters {
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub blocks_in: Counter,
    pub blocks_out: Counter,
    pub strikes: Counter,
    pub bans: Counter,
    pub closed_for_memory: Counter,
    pub closed_for_room: Counter,
    pub refused_pending: Counter,
    pub refused_pending_of_block: Counter,
    pub refused_incoming: Counter,
    pub refused_incoming_of_block: Counter,
    pub refused_of_peer: Counter,
    pub refused_outgoing: Counter,
    pub refused_banned: Counter,
}

/// Connections that were refused since the node started, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusedConnections {
    /// Too many connections were being set up by others.
    pub pending: u64,
    /// Too many connections were being set up from one address block.
    pub pending_of_block: u64,
    /// Strangers had as many connections as they may have.
    pub incoming: u64,
    /// One address block had as many connections as it may have.
    pub incoming_of_block: u64,
    /// One peer had as many connections as it may have.
    pub of_peer: u64,
    /// We had opened as many connections as we may have.
    pub outgoing: u64,
    /// The peer or its address block is banned.
    pub banned: u64,
}

/// A node's numbers. Those that are not said to be of now only grow while the node runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeStats {
    /// Peers that are connected now.
    pub connected_peers: usize,
    /// Bytes received over all connections, without what encryption adds.
    pub bytes_in: u64,
    /// Bytes sent over all connections, without what encryption adds.
    pub bytes_out: u64,
    /// Blocks received that were wanted.
    pub blocks_in: u64,
    /// Blocks sent.
    pub blocks_out: u64,
    /// Things that honest peers do not send, such as blocks that nobody asked for.
    pub strikes: u64,
    /// Peers that were banned for their strikes.
    pub bans: u64,
    /// Connections that were refused.
    pub refused: RefusedConnections,
    /// Peers whose connections were closed because they held most of the memory for received bytes.
    pub closed_for_memory: u64,
    /// Idle strangers whose connections were closed before all places were taken.
    pub closed_for_room: u64,
    /// Received bytes that are in memory now.
    pub receive_bytes_held: usize,
    /// The most of them that there may be.
    pub receive_bytes_limit: usize,
    /// Bytes of blocks in memory now that are being sent.
    pub serve_bytes_held: usize,
    /// The most of them that there may be.
    pub serve_bytes_limit: usize,
    /// Addresses that the dial policy refused.
    pub refused_dials: u64,
    /// Dials by their outcome.
    pub dials: DialCounts,
    /// Wants of peers that are kept now until their blocks come.
    pub wants_kept: usize,
    /// What looking for providers comes to.
    pub finder: FinderStats,
    /// What was announced in the DHT; nothing while that is off.
    pub announce: AnnounceStats,
}

impl Counters {
    pub(crate) fn refused(&self) -> RefusedConnections {
        RefusedConnections {
            pending: self.refused_pending.get(),
            pending_of_block: self.refused_pending_of_block.get(),
            incoming: self.refused_incoming.get(),
            incoming_of_block: self.refused_incoming_of_block.get(),
            of_peer: self.refused_of_peer.get(),
            outgoing: self.refused_outgoing.get(),
            banned: self.refused_banned.get(),
        }
    }
}
