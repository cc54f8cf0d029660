//! The outbound gate in front of a transport.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::{Multiaddr, Transport};

use crate::gate::{OutboundGate, Refusal, Wire};

/// Opening a TCP connection may take this long, a lost packet included.
const TCP_LIMIT: Duration = Duration::from_secs(3);
/// Opening a QUIC connection may take this long, its handshake included.
const QUIC_LIMIT: Duration = Duration::from_secs(5);

/// A transport of one wire that connects to nothing but what the gate admits, and to addresses without names only.
pub struct Gated<T> {
    inner: T,
    wire: Wire,
    gate: OutboundGate,
}

impl<T> Gated<T> {
    /// `inner`, which is dialled over this wire, behind the gate.
    pub fn new(inner: T, wire: Wire, gate: OutboundGate) -> Self {
        Self { inner, wire, gate }
    }

    fn limit(&self) -> Duration {
        if self.wire == Wire::Quic { QUIC_LIMIT } else { TCP_LIMIT }
    }
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
        let admitted = match self.gate.admit(&address, self.wire) {
            Ok(admitted) => admitted,
            Err(Refusal::Unsupported) => return Err(TransportError::MultiaddrNotSupported(address)),
            Err(refusal) => {
                self.gate.note(&address, refusal);
                return Err(TransportError::Other(io::Error::new(io::ErrorKind::PermissionDenied, refusal)));
            }
        };
        let dial = self.inner.dial(admitted.address(), options)?;
        let limit = self.limit();
        let connect = async move {
            let _slot = admitted.slot().await;
            tokio::time::timeout(limit, dial).await?
        };
        Ok(connect.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<T::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx)
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
            Just(Protocol::P2p(libp2p::PeerId::random())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_dialled_was_judged(
            wire in prop_oneof![Just(Wire::Tcp), Just(Wire::Quic)],
            parts in proptest::collection::vec(part(), 0..6),
        ) {
            let address = parts.into_iter().collect::<Multiaddr>();
            let inner = Recorder::default();
            let dialled = inner.0.clone();
            let mut transport = Gated::new(inner, wire, OutboundGate::new(DialPolicy::default()));
            let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
            let accepted = transport.dial(address.clone(), options).is_ok();
            let dialled = lock(&dialled).clone();
            prop_assert_eq!(dialled.len(), usize::from(accepted));
            for dialled in dialled {
                let parts = dialled.iter().collect::<Vec<_>>();
                let ip = match parts.first() {
                    Some(Protocol::Ip4(ip)) => IpAddr::V4(*ip),
                    Some(Protocol::Ip6(ip)) => IpAddr::V6(*ip),
                    _ => return Err(TestCaseError::fail(format!("{address} is dialled as {dialled}"))),
                };
                let is_of_wire = match wire {
                    Wire::Quic => matches!(parts[1..], [Protocol::Udp(_), Protocol::QuicV1]),
                    _ => matches!(parts[1..], [Protocol::Tcp(_)]),
                };
                prop_assert!(is_of_wire, "{} is dialled as {}", address, dialled);
                prop_assert!(is_public_ip(ip), "{} is dialled as {}", address, dialled);
            }
        }
    }
}
