//! How bytes travel: TCP, encrypted with Noise or TLS, many streams in one connection, and no dials into private
//! networks where they are not allowed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, Either, FutureExt, TryFutureExt};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Transport, dns, noise, tcp, tls, yamux};

use crate::reach::is_public;

/// Connecting and securing a connection may take this long together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Keeps a stream's window at 1 MiB or less. JavaScript peers send a whole window as one frame, and a frame of more
/// than 1 MiB is refused together with its connection.
const MAX_STREAMS: usize = 4_093;

/// The transport of a node; `allow_private` permits dialling addresses that are not publicly routable.
pub fn build(keypair: &Keypair, allow_private: bool) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    // The filter is below DNS, so it judges the addresses that names resolve to.
    let filtered = || {
        let inner = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        Filtered { inner, allow_private }
    };
    let resolved = dns::tokio::Transport::system(filtered()).unwrap_or_else(|error| {
        tracing::warn!(%error, "no DNS settings found, names in addresses will not resolve");
        dns::tokio::Transport::custom(filtered(), dns::ResolverConfig::default(), dns::ResolverOpts::default())
    });
    let secure = Secure {
        tls: tls::Config::new(keypair).map_err(io::Error::other)?,
        noise: noise::Config::new(keypair).map_err(io::Error::other)?,
    };
    let mut streams = yamux::Config::default();
    streams.set_max_num_streams(MAX_STREAMS);
    let transport = resolved.upgrade(Version::V1Lazy).authenticate(secure).multiplex(streams).timeout(CONNECT_LIMIT);
    Ok(transport.boxed())
}

/// Refuses to dial private addresses.
struct Filtered {
    inner: tcp::tokio::Transport,
    allow_private: bool,
}

impl Transport for Filtered {
    type Output = <tcp::tokio::Transport as Transport>::Output;
    type Error = <tcp::tokio::Transport as Transport>::Error;
    type ListenerUpgrade = <tcp::tokio::Transport as Transport>::ListenerUpgrade;
    type Dial = <tcp::tokio::Transport as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        if self.allow_private || is_public(&address) {
            return self.inner.dial(address, options);
        }
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

/// Noise or TLS, whichever both sides have. Noise comes first when we dial, where TLS would settle on `ChaCha20` and
/// cost more; Go peers that dial us prefer TLS and choose AES, which the processor does.
#[derive(Clone)]
struct Secure {
    tls: tls::Config,
    noise: noise::Config,
}

const TLS: &str = "/tls/1.0.0";
const NOISE: &str = "/noise";

impl UpgradeInfo for Secure {
    type Info = &'static str;
    type InfoIter = [&'static str; 2];

    fn protocol_info(&self) -> Self::InfoIter {
        [NOISE, TLS]
    }
}

type Secured<C> = (PeerId, Either<TlsStream<C>, noise::Output<C>>);
type TlsStream<C> = <tls::Config as StreamOf<C>>::Stream;

/// Names the stream that a security upgrade makes of `C`.
trait StreamOf<C> {
    type Stream;
}

impl<C, S> StreamOf<C> for tls::Config
where
    tls::Config: InboundConnectionUpgrade<C, Output = (PeerId, S)>,
{
    type Stream = S;
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Secure {
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_inbound(self, socket: C, protocol: &'static str) -> Self::Future {
        if protocol == TLS {
            let upgrade = self.tls.upgrade_inbound(socket, protocol).map_err(io::Error::other);
            return upgrade.map_ok(|(peer, stream)| (peer, Either::Left(stream))).boxed();
        }
        let upgrade = self.noise.upgrade_inbound(socket, protocol).map_err(io::Error::other);
        upgrade.map_ok(|(peer, stream)| (peer, Either::Right(stream))).boxed()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Secure {
    type Output = Secured<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<C>>>;

    fn upgrade_outbound(self, socket: C, protocol: &'static str) -> Self::Future {
        if protocol == TLS {
            let upgrade = self.tls.upgrade_outbound(socket, protocol).map_err(io::Error::other);
            return upgrade.map_ok(|(peer, stream)| (peer, Either::Left(stream))).boxed();
        }
        let upgrade = self.noise.upgrade_outbound(socket, protocol).map_err(io::Error::other);
        upgrade.map_ok(|(peer, stream)| (peer, Either::Right(stream))).boxed()
    }
}
