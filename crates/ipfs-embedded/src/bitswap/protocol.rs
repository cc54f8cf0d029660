//! The protocols of bitswap, and settling on one of them.

use std::convert::Infallible;
use std::future::{Ready, ready};

use libp2p::StreamProtocol;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::Stream;
use tokio::sync::oneshot;

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
    /// Whichever the peer speaks.
    pub fn any() -> Self {
        Self(PROTOCOLS.iter().map(|(protocol, _)| protocol.clone()).collect())
    }

    /// This one, which the peer is known to speak.
    pub fn one(protocol: StreamProtocol) -> Self {
        Self(vec![protocol])
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

/// Whether one of these protocols is bitswap's.
pub fn speaks_bitswap(protocols: &[StreamProtocol]) -> bool {
    protocols.iter().any(|protocol| PROTOCOLS.iter().any(|(known, _)| known == protocol))
}

/// The version that a protocol of ours is.
pub fn version_of(protocol: &StreamProtocol) -> Version {
    PROTOCOLS.iter().find(|(known, _)| known == protocol).map_or(Version::V1_0, |(_, version)| *version)
}
