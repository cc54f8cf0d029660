//! A behaviour that closes the least worthy connections before all places are taken, so that whoever comes finds one.
//!
//! A client behind a NAT can only come to us. Libp2p's own limits refuse whoever comes last.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, ToSwarm, dummy};
use libp2p::{Multiaddr, PeerId};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::rank::{Candidate, Worth, to_close};
use crate::bitswap::{Exchange, Peer, SpeaksBitswap};
use crate::limits::NodeLimits;

/// How often the places are looked at.
const TICK: Duration = Duration::from_secs(1);

/// A connection, and whether its peer opened it.
struct Connection {
    peer: PeerId,
    is_incoming: bool,
}

/// Trimming as a network behaviour.
pub struct Behaviour {
    exchange: Arc<Exchange>,
    limits: NodeLimits,
    connections: HashMap<ConnectionId, Connection>,
    closing: VecDeque<(PeerId, ConnectionId)>,
    tick: Interval,
}

impl Behaviour {
    /// Nobody is connected yet.
    pub fn new(limits: NodeLimits, exchange: Arc<Exchange>) -> Self {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { exchange, limits, connections: HashMap::new(), closing: VecDeque::new(), tick }
    }

    fn trim(&mut self) {
        let Self { limits, .. } = self;
        for (is_incoming, places) in [(true, limits.incoming), (false, limits.outgoing)] {
            let places = usize::try_from(places).unwrap_or(usize::MAX);
            for id in to_close(&self.candidates(is_incoming), places, self.limits.stranger_idle) {
                // It counts no longer, however long its closing takes.
                let Some(Connection { peer, .. }) = self.connections.remove(&id) else { continue };
                tracing::debug!(%peer, "closing an idle connection to make room");
                self.exchange.shared.counters.closed_for_room.add(1);
                self.closing.push_back((peer, id));
            }
        }
    }

    /// The connections that share places. Known peers that came to us have places of their own.
    fn candidates(&self, is_incoming: bool) -> Vec<Candidate> {
        let known = &self.exchange.shared.known;
        let of_kind = self.connections.iter().filter(|(_, connection)| connection.is_incoming == is_incoming);
        let sharing = of_kind.filter(|(_, connection)| !is_incoming || !known.contains(&connection.peer));
        let candidate = |(id, connection): (&ConnectionId, &Connection)| {
            let peer = self.exchange.find(&connection.peer)?;
            Some(Candidate { id: *id, worth: self.worth(&peer), idle: peer.idle() })
        };
        sharing.filter_map(candidate).collect()
    }

    fn worth(&self, peer: &Peer) -> Worth {
        let known = &self.exchange.shared.known;
        if known.is_named(&peer.id) {
            Worth::Named
        } else if known.contains(&peer.id) || peer.owes_blocks() {
            Worth::Exchange
        } else if peer.speaks_bitswap() == SpeaksBitswap::Maybe {
            Worth::Bitswap
        } else {
            Worth::None
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. }) => {
                let is_incoming = matches!(endpoint, ConnectedPoint::Listener { .. });
                self.connections.insert(connection_id, Connection { peer: peer_id, is_incoming });
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.connections.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, Infallible>> {
        while self.closing.is_empty() && self.tick.poll_tick(cx).is_ready() {
            self.trim();
        }
        let Some((peer_id, id)) = self.closing.pop_front() else { return Poll::Pending };
        Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) })
    }
}
