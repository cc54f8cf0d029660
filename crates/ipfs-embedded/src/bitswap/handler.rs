//! One connection's bitswap streams: inbound ones are given to a task each, outbound ones to whoever asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::StreamProtocol;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, Stream, SubstreamProtocol};
use tokio::sync::{mpsc, oneshot};

use super::exchange::Exchange;
use super::inbound;
use super::peer::Peer;

const NEGOTIATION_LIMIT: Duration = Duration::from_secs(10);

/// The version of bitswap that a stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Blocks, wants and whether we have them.
    V1_2,
    /// Blocks with the prefix of their CID, and wants of blocks.
    V1_1,
    /// Blocks of version 0 CIDs, and wants of blocks.
    V1_0,
}

/// The protocols, the best first. `/ipfs/bitswap` is the oldest name of 1.0.0.
const PROTOCOLS: [(StreamProtocol, Version); 4] = [
    (StreamProtocol::new("/ipfs/bitswap/1.2.0"), Version::V1_2),
    (StreamProtocol::new("/ipfs/bitswap/1.1.0"), Version::V1_1),
    (StreamProtocol::new("/ipfs/bitswap/1.0.0"), Version::V1_0),
    (StreamProtocol::new("/ipfs/bitswap"), Version::V1_0),
];

/// Negotiates one of these protocols and yields the bare stream.
#[derive(Debug, Clone)]
pub struct Negotiate(Vec<StreamProtocol>);

impl Negotiate {
    fn any() -> Self {
        Self(PROTOCOLS.iter().map(|(protocol, _)| protocol.clone()).collect())
    }
}

impl UpgradeInfo for Negotiate {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

/// A stream and the protocol that was settled on.
pub type Negotiated = (Stream, StreamProtocol);

impl InboundUpgrade<Stream> for Negotiate {
    type Output = Negotiated;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, protocol: Self::Info) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Negotiate {
    type Output = Negotiated;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, protocol: Self::Info) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

/// Where an opened stream is to be sent; dropped when none could be opened.
pub type OpenStream = oneshot::Sender<(Stream, Version)>;

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

/// Whether one of these protocols is bitswap's.
pub fn speaks_bitswap(protocols: &[StreamProtocol]) -> bool {
    protocols.iter().any(|protocol| PROTOCOLS.iter().any(|(known, _)| known == protocol))
}

fn version_of(protocol: &StreamProtocol) -> Version {
    PROTOCOLS.iter().find(|(known, _)| known == protocol).map_or(Version::V1_0, |(_, version)| *version)
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
        let offer = self.chosen.clone().map_or_else(Negotiate::any, |protocol| Negotiate(vec![protocol]));
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
