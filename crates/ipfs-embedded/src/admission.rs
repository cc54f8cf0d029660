//! Which connections are let in: so many in all, from one address block and with one peer, with places kept for
//! peers that have a reason to be here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::multiaddr::Protocol;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, DialFailure, ListenFailure};
use libp2p::swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, ToSwarm, dummy};
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;
use tokio::time::Instant;

use crate::address_block::AddressBlock;
use crate::bans::Bans;
use crate::counters::{Counter, Counters};
use crate::known_peers::KnownPeers;
use crate::limits::NodeLimits;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
enum Refusal {
    #[error("too many connections are being set up")]
    Pending,
    #[error("too many connections are being set up from this network")]
    PendingOfBlock,
    #[error("too many incoming connections")]
    Incoming,
    #[error("too many incoming connections from this network")]
    IncomingOfBlock,
    #[error("too many connections with this peer")]
    OfPeer,
    #[error("too many outgoing connections")]
    Outgoing,
    #[error("the peer or its network is banned")]
    Banned,
}

/// Connections that others opened to us, or we to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By a peer that has no reason to be here.
    Stranger,
    /// By a peer that has one.
    Known,
    Outgoing,
}

/// A connection that is being set up by another.
#[derive(Debug, Clone, Copy)]
struct Pending {
    block: AddressBlock,
    is_quic: bool,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    peer: PeerId,
    block: AddressBlock,
    kind: Kind,
    is_quic: bool,
}

/// Admission as a network behaviour.
pub struct Behaviour {
    limits: NodeLimits,
    known: Arc<KnownPeers>,
    bans: Arc<Bans>,
    counters: Arc<Counters>,
    pending: HashMap<ConnectionId, Pending>,
    established: HashMap<ConnectionId, Place>,
}

impl Behaviour {
    /// Nobody is connected yet.
    pub fn new(limits: NodeLimits, known: Arc<KnownPeers>, bans: Arc<Bans>, counters: Arc<Counters>) -> Self {
        Self { limits, known, bans, counters, pending: HashMap::new(), established: HashMap::new() }
    }

    fn refuse(&self, refusal: Refusal) -> ConnectionDenied {
        self.counter(refusal).add(1);
        tracing::debug!(%refusal, "connection refused");
        ConnectionDenied::new(refusal)
    }

    fn counter(&self, refusal: Refusal) -> &Counter {
        match refusal {
            Refusal::Pending => &self.counters.refused_pending,
            Refusal::PendingOfBlock => &self.counters.refused_pending_of_block,
            Refusal::Incoming => &self.counters.refused_incoming,
            Refusal::IncomingOfBlock => &self.counters.refused_incoming_of_block,
            Refusal::OfPeer => &self.counters.refused_of_peer,
            Refusal::Outgoing => &self.counters.refused_outgoing,
            Refusal::Banned => &self.counters.refused_banned,
        }
    }

    /// A socket that says nothing is in nobody's way beyond its block: who it is will be known after the handshake.
    /// The second half of the places is for blocks that have none, so that a handful of them does not take the last.
    fn check_pending(&self, Pending { block, is_quic }: Pending) -> Result<(), Refusal> {
        let (taken, places) = (self.pending.len(), at_most(self.limits.pending_incoming));
        let share = if taken < places / 2 { at_most(self.limits.pending_per_block) } else { 1 };
        if self.bans.contains_block(block, Instant::now()) {
            Err(Refusal::Banned)
        } else if is_quic && self.has_all_quic() {
            Err(Refusal::Incoming)
        } else if taken >= places {
            Err(Refusal::Pending)
        } else if self.pending.values().filter(|of| of.block == block).count() >= share {
            Err(Refusal::PendingOfBlock)
        } else {
            Ok(())
        }
    }

    /// Refused before the handshake, so that the peer tries TCP.
    fn has_all_quic(&self) -> bool {
        let pending = self.pending.values().filter(|pending| pending.is_quic).count();
        self.count(|place| place.is_quic) + pending >= at_most(self.limits.quic)
    }

    fn check_incoming(&self, place: &Place) -> Result<(), Refusal> {
        let (total, of_block) = match place.kind {
            Kind::Stranger => (self.limits.incoming, self.limits.incoming_per_block),
            Kind::Known | Kind::Outgoing => (self.limits.kept, u32::MAX),
        };
        if self.count(|other| other.kind == place.kind && other.block == place.block) >= at_most(of_block) {
            return Err(Refusal::IncomingOfBlock);
        }
        if self.count(|other| other.kind == place.kind) >= at_most(total) {
            return Err(Refusal::Incoming);
        }
        Ok(())
    }

    fn check_peer(&self, peer: &PeerId) -> Result<(), Refusal> {
        if self.bans.contains(peer, Instant::now()) {
            return Err(Refusal::Banned);
        }
        if self.count(|other| other.peer == *peer) >= at_most(self.limits.per_peer) {
            return Err(Refusal::OfPeer);
        }
        Ok(())
    }

    fn count(&self, which: impl Fn(&Place) -> bool) -> usize {
        self.established.values().filter(|place| which(place)).count()
    }

    fn admit(&mut self, connection: ConnectionId, place: Place, checked: Result<(), Refusal>) -> Admitted {
        match checked.and_then(|()| self.check_peer(&place.peer)) {
            Ok(()) => {
                self.established.insert(connection, place);
                Ok(dummy::ConnectionHandler)
            }
            Err(refusal) => Err(self.refuse(refusal)),
        }
    }
}

type Admitted = Result<dummy::ConnectionHandler, ConnectionDenied>;

fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::QuicV1)
}

fn at_most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let pending = Pending { block: AddressBlock::of(remote), is_quic: is_quic(remote) };
        self.check_pending(pending).map_err(|refusal| self.refuse(refusal))?;
        self.pending.insert(connection, pending);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Admitted {
        self.pending.remove(&connection);
        let kind = if self.known.contains(&peer) { Kind::Known } else { Kind::Stranger };
        let place = Place { peer, block: AddressBlock::of(remote), kind, is_quic: is_quic(remote) };
        let mut checked = self.check_incoming(&place);
        if checked.is_ok() && kind == Kind::Stranger && self.bans.contains_block(place.block, Instant::now()) {
            checked = Err(Refusal::Banned);
        }
        self.admit(connection, place, checked)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Admitted {
        let (block, is_quic) = (AddressBlock::of(remote), is_quic(remote));
        let place = Place { peer, block, kind: Kind::Outgoing, is_quic };
        let full = self.count(|other| other.kind == Kind::Outgoing) >= at_most(self.limits.outgoing)
            || is_quic && self.has_all_quic();
        self.admit(connection, place, if full { Err(Refusal::Outgoing) } else { Ok(()) })
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            // Another behaviour may refuse what was let in here.
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.pending.remove(&connection_id);
                self.established.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, Infallible>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bans::BAN;

    #[test]
    fn a_peer_is_let_in_again_once_its_ban_is_over() {
        let bans = Arc::new(Bans::new(8));
        let behaviour = Behaviour::new(NodeLimits::default(), Arc::default(), bans.clone(), Arc::default());
        let (peer, now) = (PeerId::random(), Instant::now());
        bans.add(peer, AddressBlock::Other, now);
        assert!(matches!(behaviour.check_peer(&peer), Err(Refusal::Banned)));
        bans.add(peer, AddressBlock::Other, now - BAN);
        assert!(behaviour.check_peer(&peer).is_ok());
    }
}
