//! Opens outbound streams of one protocol on connections that exist. It answers nothing, so that it can live beside
//! libp2p-kad, which does.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, ReadyUpgrade};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
    SubstreamProtocol, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::{mpsc, oneshot};

use crate::bitswap::lock;

const NEGOTIATION_LIMIT: Duration = Duration::from_secs(10);

/// Where an opened stream is to be sent; dropped when none could be opened.
type OpenStream = oneshot::Sender<Stream>;
type Connections = HashMap<PeerId, Vec<(ConnectionId, mpsc::UnboundedSender<OpenStream>)>>;

/// Opens streams to connected peers.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<Connections>>);

impl Streams {
    /// Whether the peer is connected.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        lock(&self.0).contains_key(peer)
    }

    /// Opens a stream to a connected peer. `NotConnected` if it is not, `Unsupported` if it does not speak the protocol.
    pub async fn open(&self, peer: &PeerId) -> io::Result<Stream> {
        let newest =
            lock(&self.0).get(peer).and_then(|connections| connections.last()).map(|(_, opener)| opener.clone());
        let (reply, stream) = oneshot::channel();
        newest.and_then(|opener| opener.send(reply).ok()).ok_or(io::ErrorKind::NotConnected)?;
        stream.await.map_err(|_| io::ErrorKind::Unsupported.into())
    }
}

/// The behaviour behind [`Streams`]. It must come after those that deny connections, so that a connection which one of
/// them denies leaves no trace here.
pub struct Behaviour {
    protocol: StreamProtocol,
    streams: Streams,
    accepted: HashMap<ConnectionId, mpsc::UnboundedSender<OpenStream>>,
}

impl Behaviour {
    /// A behaviour that opens streams of `protocol`.
    pub fn new(protocol: StreamProtocol, streams: Streams) -> Self {
        Self { protocol, streams, accepted: HashMap::new() }
    }

    fn accept(&mut self, connection: ConnectionId) -> Handler {
        let (sender, requests) = mpsc::unbounded_channel();
        self.accepted.insert(connection, sender);
        Handler { protocol: self.protocol.clone(), requests, opening: VecDeque::new() }
    }
}

impl Drop for Behaviour {
    /// The swarm is gone, which tells nobody that its connections are.
    fn drop(&mut self) {
        lock(&self.streams.0).clear();
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.accept(connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.accept(connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                if let Some(opener) = self.accepted.remove(&connection_id) {
                    lock(&self.streams.0).entry(peer_id).or_default().push((connection_id, opener));
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                let mut connections = lock(&self.streams.0);
                if let Some(openers) = connections.get_mut(&peer_id) {
                    openers.retain(|(id, _)| *id != connection_id);
                    if openers.is_empty() {
                        connections.remove(&peer_id);
                    }
                }
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

/// The handler of one connection.
pub struct Handler {
    protocol: StreamProtocol,
    requests: mpsc::UnboundedReceiver<OpenStream>,
    /// Streams are alike, so that the first to be opened goes to the first who asked.
    opening: VecDeque<OpenStream>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, (), Infallible>> {
        let Poll::Ready(Some(reply)) = self.requests.poll_recv(cx) else { return Poll::Pending };
        self.opening.push_back(reply);
        let upgrade = ReadyUpgrade::new(self.protocol.clone());
        let protocol = SubstreamProtocol::new(upgrade, ()).with_timeout(NEGOTIATION_LIMIT);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<DeniedUpgrade, ReadyUpgrade<StreamProtocol>>) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, .. }) => {
                if let Some(reply) = self.opening.pop_front() {
                    // Whoever asked may have gone; the stream is then closed by being dropped.
                    let _gone = reply.send(stream);
                }
            }
            ConnectionEvent::DialUpgradeError(_) => drop(self.opening.pop_front()),
            _ => {}
        }
    }
}
