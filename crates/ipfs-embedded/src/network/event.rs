//! Every event of the swarm and of each protocol, and what follows from it.

use libp2p::core::ConnectedPoint;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, TransportError, identify, ping};

use super::Network;
use super::behaviour::BehaviourEvent;
use crate::attempts::names_wrong_time;
use crate::bitswap::{SpeaksBitswap, speaks_bitswap};
use crate::reach::to_tell;

type DialErrors = Vec<(Multiaddr, TransportError<std::io::Error>)>;

impl Network {
    pub(super) fn handle(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.handle_behaviour(event),
            SwarmEvent::ConnectionEstablished { connection_id, peer_id, endpoint, concurrent_dial_errors, .. } => {
                self.connected(connection_id, peer_id, &endpoint, &concurrent_dial_errors.unwrap_or_default());
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => self.dials.closed(connection_id),
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { error, .. } if names_wrong_time(&error) => {
                tracing::warn!(
                    "a peer's certificate is not valid at the time of this machine's clock: is the clock right?"
                );
            }
            SwarmEvent::NewListenAddr { address, .. } => self.listens_on(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.send_modify(|known| known.retain(|listened| *listened != address));
                self.tell_addresses();
            }
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::warn!(?addresses, %error, "these addresses are no longer listened on");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listening failed for a moment"),
            // The swarm may have further events in a later version, none of which needs an answer.
            event => tracing::trace!(?event, "network"),
        }
    }

    /// Each protocol has its arm, so that one that is added cannot be forgotten.
    fn handle_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => self.handle_identify(event),
            BehaviourEvent::Ping(ping::Event { peer, result, .. }) => tracing::trace!(%peer, ?result, "ping"),
            BehaviourEvent::Kad(event) => self.with_table(|table, kad| table.note(kad, event)),
            BehaviourEvent::Admission(never)
            | BehaviourEvent::Memory(never)
            | BehaviourEvent::Connections(never)
            | BehaviourEvent::DhtStreams(never)
            | BehaviourEvent::Bitswap(never) => match never {},
        }
    }

    fn handle_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { peer_id, info, .. } => {
                let speaks = if speaks_bitswap(&info.protocols) { SpeaksBitswap::Maybe } else { SpeaksBitswap::No };
                self.exchange.identified(&peer_id, speaks);
                self.with_table(|table, kad| table.identified(kad, peer_id, &info));
            }
            identify::Event::Error { peer_id, error, .. } => {
                tracing::debug!(peer = %peer_id, %error, "a peer does not say what it speaks");
                self.exchange.identified(&peer_id, SpeaksBitswap::Maybe);
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => {}
        }
    }

    fn connected(&mut self, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint, errors: &DialErrors) {
        self.dials.forget(&peer);
        self.reply_to(&peer, Ok(()));
        if let ConnectedPoint::Dialer { address, .. } = endpoint {
            if self.dials.reached(id, &peer, address) {
                self.exchange.note_look_up(&peer);
            }
            self.dials.attempts.note_errors(errors);
        }
    }

    fn listens_on(&mut self, address: Multiaddr) {
        self.listening.send_if_modified(|known| {
            let is_new = !known.contains(&address);
            if is_new {
                known.push(address);
            }
            is_new
        });
        self.tell_addresses();
    }

    /// Have the swarm tell others of the addresses at which this node is dialled.
    pub(super) fn tell_addresses(&mut self) {
        let told = to_tell(&self.announce, &self.listening.borrow(), self.is_public);
        let known = self.swarm.external_addresses().cloned().collect::<Vec<_>>();
        for address in known.iter().filter(|address| !told.contains(address)) {
            self.swarm.remove_external_address(address);
        }
        for address in told.into_iter().filter(|address| !known.contains(address)) {
            self.swarm.add_external_address(address);
        }
    }
}
