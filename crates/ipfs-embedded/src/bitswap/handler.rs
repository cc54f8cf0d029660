//! One connection's bitswap streams: inbound ones are given to a task each, outbound ones to whoever asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::StreamProtocol;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use tokio::sync::mpsc;

use super::exchange::Exchange;
use super::inbound;
use super::peer::Peer;
use super::protocol::{Negotiate, Negotiated, OpenStream, version_of};

const NEGOTIATION_LIMIT: Duration = Duration::from_secs(10);

/// The handler of one connection.
pub struct Handler {
    exchange: Arc<Exchange>,
    peer: Arc<Peer>,
    requests: mpsc::UnboundedReceiver<OpenStream>,
    /// What the peer chose before: offering one protocol saves a round trip per stream.
    chosen: Option<StreamProtocol>,
    opening: VecDeque<OpenStream>,
}

impl Handler {
    pub(super) fn new(exchange: Arc<Exchange>, peer: Arc<Peer>, requests: mpsc::UnboundedReceiver<OpenStream>) -> Self {
        Self { exchange, peer, requests, chosen: None, opening: VecDeque::new() }
    }

    fn opened(&mut self, (stream, protocol): Negotiated) {
        let version = version_of(&protocol);
        self.chosen = Some(protocol);
        if let Some(reply) = self.opening.pop_front() {
            // Whoever asked may have gone; the stream is then closed by being dropped.
            let _gone = reply.send((stream, version));
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Negotiate;
    type OutboundProtocol = Negotiate;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Negotiate> {
        SubstreamProtocol::new(Negotiate::any(), ()).with_timeout(NEGOTIATION_LIMIT)
    }

    /// A connection is kept while it is used: a client behind a NAT waits here to be asked, but idle ones must not
    /// fill the limit.
    fn connection_keep_alive(&self) -> bool {
        self.peer.is_active()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Negotiate, (), Infallible>> {
        let Poll::Ready(Some(reply)) = self.requests.poll_recv(cx) else { return Poll::Pending };
        self.opening.push_back(reply);
        let offer = self.chosen.clone().map_or_else(Negotiate::any, Negotiate::one);
        let protocol = SubstreamProtocol::new(offer, ()).with_timeout(NEGOTIATION_LIMIT);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Negotiate, Negotiate>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (stream, _), .. }) => {
                inbound::spawn(&self.exchange, &self.peer, stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => self.opened(protocol),
            ConnectionEvent::DialUpgradeError(_) => drop(self.opening.pop_front()),
            _ => {}
        }
    }
}
