//! How bytes travel: over TCP, QUIC or WebSocket, encrypted, many streams in one connection, and every dial through the
//! outbound gate.
//!
//! **Invariant:** the gate is below DNS on every wire, so it judges the addresses that names resolve to.

mod gated;
mod secure;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::ConnectedPoint;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport, dns, quic, tcp, websocket};

use self::gated::Gated;
use self::secure::Secure;
use crate::address_block::AddressBlock;
use crate::gate::{OutboundGate, Wire};
use crate::receive::{Budget, Counted, Upgrade};

/// Connecting and securing a connection may take this long together.
const SETUP_LIMIT: Duration = Duration::from_secs(10);
/// Bytes that QUIC holds of one stream until they are read, and of all streams of a connection. They are not in the
/// budget for received bytes: [`crate::NodeLimits::quic`] bounds how often there can be so many.
const QUIC_STREAM_BYTES: u32 = 1 << 20;
const QUIC_CONNECTION_BYTES: u32 = 2 << 20;
/// Streams of one QUIC connection that its peer may have open, as Go nodes allow.
const QUIC_STREAMS: u32 = 256;
/// The largest WebSocket frame; other nodes send a message of Noise in each, which has 64 KiB at most.
const WEBSOCKET_FRAME_BYTES: usize = 256 << 10;

type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// The transport of a node that dials what `gate` admits; what it receives counts for `budget`.
pub fn build(keypair: &Keypair, gate: &OutboundGate, budget: &Arc<Budget>) -> io::Result<Connections> {
    let secure = Secure::new(keypair)?;
    let raw_tcp = || {
        let inner = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        Gated::new(inner, Wire::Tcp, gate.clone())
    };
    let direct = || {
        let tcp = upgrade(raw_tcp(), &secure, budget);
        tcp.or_transport(quic(keypair, gate, budget)).map(|connection, _| connection.into_inner())
    };
    // A certificate is for the name in the address, so a WebSocket has its DNS below it.
    let mut websocket = websocket::Config::new(resolved(raw_tcp));
    websocket.set_max_data_size(WEBSOCKET_FRAME_BYTES);
    let websocket = upgrade(websocket, &secure, budget);
    let transport = websocket.or_transport(resolved(direct)).map(|connection, _| connection.into_inner());
    Ok(TransportTimeout::new(transport, SETUP_LIMIT).boxed())
}

/// `make` below DNS.
fn resolved<T>(make: impl Fn() -> T) -> dns::tokio::Transport<T> {
    dns::tokio::Transport::system(make()).unwrap_or_else(|error| {
        tracing::warn!(%error, "no DNS settings found, names in addresses will not resolve");
        dns::tokio::Transport::custom(make(), dns::ResolverConfig::default(), dns::ResolverOpts::default())
    })
}

/// Connections of many streams over bytes that are sent in the open.
fn upgrade<T, C>(transport: T, secure: &Secure, budget: &Arc<Budget>) -> Connections
where
    T: Transport<Output = C, Error: Send + Sync + 'static, Dial: Send + 'static, ListenerUpgrade: Send + 'static>
        + Send
        + Unpin
        + 'static,
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let budget = budget.clone();
    let streams = move |peer: &PeerId, endpoint: &ConnectedPoint| {
        Upgrade(budget.account(*peer, AddressBlock::of(endpoint.get_remote_address())))
    };
    transport.upgrade(Version::V1Lazy).authenticate(secure.clone()).multiplex_ext(streams).boxed()
}

/// QUIC, which encrypts and has streams by itself.
fn quic(keypair: &Keypair, gate: &OutboundGate, budget: &Arc<Budget>) -> Connections {
    let mut config = quic::Config::new(keypair);
    config.max_stream_data = QUIC_STREAM_BYTES;
    config.max_connection_data = QUIC_CONNECTION_BYTES;
    config.max_concurrent_stream_limit = QUIC_STREAMS;
    let budget = budget.clone();
    let inner =
        quic::tokio::Transport::new(config).map_err(io::Error::other).map(move |(peer, connection), endpoint| {
            let account = budget.account(peer, AddressBlock::of(endpoint.get_remote_address()));
            (peer, StreamMuxerBox::new(Counted::new(connection, account)))
        });
    Gated::new(inner, Wire::Quic, gate.clone()).boxed()
}
