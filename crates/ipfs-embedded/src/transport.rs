//! How bytes travel: TCP, encrypted with Noise or TLS, many streams in one connection, and every dial through the
//! outbound gate.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, Either, FutureExt, TryFutureExt};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::ConnectedPoint;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Transport, dns, noise, tcp, tls};

use crate::address_block::AddressBlock;
use crate::gate::OutboundGate;
use crate::receive::{self, Budget};

/// Opening a TCP connection may take this long, a lost packet included.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Connecting and securing a connection may take this long together.
const SETUP_LIMIT: Duration = Duration::from_secs(10);

/// The transport of a node that dials what `gate` admits; what it receives counts for `budget`.
pub fn build(
    keypair: &Keypair,
    gate: &OutboundGate,
    budget: Arc<Budget>,
) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    // The gate is below DNS, so it judges the addresses that names resolve to.
    let gated = || {
        let inner = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        Gated { inner, gate: gate.clone() }
    };
    let resolved = dns::tokio::Transport::system(gated()).unwrap_or_else(|error| {
        tracing::warn!(%error, "no DNS settings found, names in addresses will not resolve");
        dns::tokio::Transport::custom(gated(), dns::ResolverConfig::default(), dns::ResolverOpts::default())
    });
    let secure = Secure {
        tls: tls::Config::new(keypair).map_err(io::Error::other)?,
        noise: noise::Config::new(keypair).map_err(io::Error::other)?,
    };
    let streams = move |peer: &PeerId, endpoint: &ConnectedPoint| {
        receive::Upgrade(budget.account(*peer, AddressBlock::of(endpoint.get_remote_address())))
    };
    let transport = resolved.upgrade(Version::V1Lazy).authenticate(secure).multiplex_ext(streams);
    let transport = transport.timeout(SETUP_LIMIT);
    Ok(transport.boxed())
}

/// TCP that connects to nothing but what the gate admits.
struct Gated<T> {
    inner: T,
    gate: OutboundGate,
}

impl<T> Transport for Gated<T>
where
    T: Transport<Error = io::Error, Dial: Send + 'static, Output: 'static> + Unpin,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<T::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let admitted = self.gate.admit(&address).map_err(|refusal| {
            self.gate.note(&address, refusal);
            TransportError::Other(io::Error::new(io::ErrorKind::PermissionDenied, refusal))
        })?;
        let dial = self.inner.dial(admitted.address(), options)?;
        let connect = async move {
            let _slot = admitted.slot().await;
            tokio::time::timeout(CONNECT_LIMIT, dial).await?
        };
        Ok(connect.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<T::ListenerUpgrade, io::Error>> {
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::{Arc, Mutex};

    use libp2p::core::Endpoint;
    use libp2p::core::multiaddr::Protocol;
    use libp2p::core::transport::PortUse;
    use pinrail_spec::is_public_ip;
    use proptest::prelude::*;

    use super::*;
    use crate::bitswap::lock;
    use crate::gate::DialPolicy;

    /// Takes down what it is told to dial, and takes every address.
    #[derive(Default)]
    struct Recorder(Arc<Mutex<Vec<Multiaddr>>>);

    impl Transport for Recorder {
        type Output = ();
        type Error = io::Error;
        type ListenerUpgrade = futures::future::Ready<io::Result<()>>;
        type Dial = futures::future::Ready<io::Result<()>>;

        fn listen_on(&mut self, _: ListenerId, _: Multiaddr) -> Result<(), TransportError<io::Error>> {
            Ok(())
        }

        fn remove_listener(&mut self, _: ListenerId) -> bool {
            false
        }

        fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
            lock(&self.0).push(address);
            Ok(futures::future::ready(Ok(())))
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
            Poll::Pending
        }
    }

    fn part() -> impl Strategy<Value = Protocol<'static>> {
        let private = prop_oneof![Just([127, 0, 0, 1]), Just([10, 0, 0, 1]), Just([169, 254, 169, 254])];
        prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| Protocol::Ip4(octets.into())),
            private.clone().prop_map(|octets| Protocol::Ip4(octets.into())),
            any::<[u16; 8]>().prop_map(|segments| Protocol::Ip6(segments.into())),
            private.prop_map(|octets| Protocol::Ip6(std::net::Ipv4Addr::from(octets).to_ipv6_mapped())),
            (0x2000..0x4000_u16).prop_map(|first| Protocol::Ip6([first, 2, 3, 4, 5, 6, 7, 8].into())),
            (0..3_u16).prop_map(Protocol::Tcp),
            any::<u16>().prop_map(Protocol::Udp),
            Just(Protocol::Dns4("example.org".into())),
            Just(Protocol::Dnsaddr("example.org".into())),
            Just(Protocol::QuicV1),
            Just(Protocol::Ws("/".into())),
            Just(Protocol::P2pCircuit),
            Just(Protocol::P2p(PeerId::random())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_dialled_was_judged(parts in proptest::collection::vec(part(), 0..6)) {
            let address = parts.into_iter().collect::<Multiaddr>();
            let inner = Recorder::default();
            let dialled = inner.0.clone();
            let mut transport = Gated { inner, gate: OutboundGate::new(DialPolicy::default()) };
            let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
            let accepted = transport.dial(address.clone(), options).is_ok();
            let dialled = lock(&dialled).clone();
            prop_assert_eq!(dialled.len(), usize::from(accepted));
            for dialled in dialled {
                let parts = dialled.iter().collect::<Vec<_>>();
                let ip = match parts.as_slice() {
                    [Protocol::Ip4(ip), Protocol::Tcp(_)] => IpAddr::V4(*ip),
                    [Protocol::Ip6(ip), Protocol::Tcp(_)] => IpAddr::V6(*ip),
                    _ => return Err(TestCaseError::fail(format!("{address} is dialled as {dialled}"))),
                };
                prop_assert!(is_public_ip(ip), "{} is dialled as {}", address, dialled);
            }
        }
    }
}
