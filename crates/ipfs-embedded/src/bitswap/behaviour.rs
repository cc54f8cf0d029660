//! What the swarm sees of bitswap: a handler for each connection, and who is connected.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, ToSwarm};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use super::exchange::Exchange;
use super::handler::Handler;
use super::protocol::OpenStream;
use super::{client, lanes};

/// Bitswap as a network behaviour. It must be the last field of a derived behaviour, so that a connection which
/// another one denies leaves no trace here.
pub struct Behaviour {
    exchange: Arc<Exchange>,
    accepted: HashMap<ConnectionId, mpsc::UnboundedSender<OpenStream>>,
}

impl Behaviour {
    /// The behaviour in front of `exchange`.
    pub fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange, accepted: HashMap::new() }
    }

    fn accept(&mut self, connection: ConnectionId, peer: PeerId, address: &Multiaddr, dialled_us: bool) -> Handler {
        let (requests, receiver) = mpsc::unbounded_channel();
        self.accepted.insert(connection, requests);
        let peer = self.exchange.find_or_add(peer, address, dialled_us);
        Handler::new(self.exchange.clone(), peer, receiver)
    }

    /// Begin to serve a peer and to send our wants to it, at its first connection.
    fn begin(&self, peer: PeerId, connection: ConnectionId, requests: mpsc::UnboundedSender<OpenStream>) {
        if let Some((peer, outbox)) = self.exchange.connected(peer, connection, requests) {
            tokio::spawn(client::send_wants(peer.clone(), outbox));
            tokio::spawn(lanes::serve(self.exchange.clone(), peer));
        }
    }
}

impl Drop for Behaviour {
    fn drop(&mut self) {
        self.exchange.close();
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.accept(connection, peer, remote, true))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.accept(connection, peer, remote, false))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                if let Some(requests) = self.accepted.remove(&connection_id) {
                    self.begin(peer_id, connection_id, requests);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.exchange.disconnected(&peer_id, connection_id);
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
