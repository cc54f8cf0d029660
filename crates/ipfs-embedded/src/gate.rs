//! The outbound gate: the one place that decides whether an address may be connected to.
//!
//! **Invariant:** what is judged is what is dialled. An address is taken apart by a strict grammar, the socket address
//! that it means is judged, and the transport is handed an address that is rebuilt from that alone.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use ipnet::IpNet;
use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use pinrail_spec::{is_public_ip, without_wrapping};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bitswap::lock;

/// Connections that are opened at once to one host, whatever the peer and whatever names lead there.
pub const MAX_PER_HOST: usize = 8;

/// Which addresses may be dialled.
#[derive(Debug, Clone, Default)]
pub struct DialPolicy {
    /// Whether addresses that are not publicly routable may be dialled.
    pub allow_private: bool,
    /// Networks that are never dialled, whatever else is allowed.
    pub never: Vec<IpNet>,
}

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// Not of the form `/<ip or dns>/<transport>[/p2p/<peer id>]`, or of a transport that is not dialled.
    #[error("not dialled over this transport, wanted TCP, QUIC or WebSocket, such as /ip4/203.0.113.142/tcp/4001")]
    Unsupported,
    /// Not publicly routable.
    #[error("not publicly routable, and allow-private is off")]
    Private,
    /// In a network that the operator excluded.
    #[error("in a network that never-dial excludes")]
    Excluded,
}

/// A host as it is counted: an IPv4 address or the /48 of an IPv6 one, or a name that is yet to be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address, without the bits that one customer may choose.
    Ip(IpAddr),
    /// A DNS name.
    Name(String),
}

impl Host {
    fn of(address: IpAddr) -> Self {
        match without_wrapping(address) {
            v4 @ IpAddr::V4(_) => Self::Ip(v4),
            IpAddr::V6(v6) => Self::Ip(Ipv6Addr::from_bits(v6.to_bits() & (!0 << 80)).into()),
        }
    }
}

/// A transport, the preferred first: TCP moves most through a line that loses packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// TCP with Noise or TLS and yamux.
    Tcp,
    /// QUIC version 1.
    Quic,
    /// WebSocket, plain or within TLS.
    WebSocket,
}

impl Wire {
    /// The transport of an address of a host; none if it is not one of these.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        let parts = address.iter().skip(1).collect::<Vec<_>>();
        Self::read(&parts).map(|(wire, _)| wire)
    }

    /// Read what follows the host in an address.
    fn read(parts: &[Protocol<'_>]) -> Option<(Self, u16)> {
        match parts {
            [Protocol::Tcp(port)] => Some((Self::Tcp, *port)),
            [Protocol::Udp(port), Protocol::QuicV1] => Some((Self::Quic, *port)),
            [Protocol::Tcp(port), Protocol::Ws(path) | Protocol::Wss(path)]
            | [Protocol::Tcp(port), Protocol::Tls, Protocol::Ws(path)]
            | [Protocol::Tcp(port), Protocol::Tls, Protocol::Sni(_), Protocol::Ws(path)]
                if path == "/" =>
            {
                Some((Self::WebSocket, *port))
            }
            _ => None,
        }
    }

    fn address(self, socket: SocketAddr) -> Multiaddr {
        let host = Multiaddr::from(socket.ip());
        match self {
            Self::Tcp | Self::WebSocket => host.with(Protocol::Tcp(socket.port())),
            Self::Quic => host.with(Protocol::Udp(socket.port())).with(Protocol::QuicV1),
        }
    }
}

/// What an address means before names in it are resolved.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// An endpoint.
    Socket(Wire, SocketAddr),
    /// A name, which is judged again at the address that it resolves to.
    Name(Wire, String),
}

impl Target {
    /// Read an address by the grammar: exactly one ip or dns part, exactly one transport, a peer at the end or none.
    fn read(address: &Multiaddr) -> Result<Self, Refusal> {
        let mut parts = address.iter().collect::<Vec<_>>();
        if matches!(parts.last(), Some(Protocol::P2p(_))) {
            parts.pop();
        }
        // What a /dnsaddr lists is dialled in its own order.
        if let [Protocol::Dnsaddr(name)] = parts.as_slice() {
            return Ok(Self::Name(Wire::Tcp, name.to_ascii_lowercase()));
        }
        let (host, rest) = parts.split_first().ok_or(Refusal::Unsupported)?;
        let (wire, port) = Wire::read(rest).filter(|(_, port)| *port != 0).ok_or(Refusal::Unsupported)?;
        let socket = |ip: IpAddr| Self::Socket(wire, SocketAddr::new(ip.to_canonical(), port));
        match host {
            Protocol::Ip4(ip) => Ok(socket((*ip).into())),
            Protocol::Ip6(ip) => Ok(socket((*ip).into())),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
                Ok(Self::Name(wire, name.to_ascii_lowercase()))
            }
            _ => Err(Refusal::Unsupported),
        }
    }
}

/// Judges every outbound connection and bounds how many are opened at once to one host.
#[derive(Debug, Clone)]
pub struct OutboundGate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policy: DialPolicy,
    hosts: Mutex<HashMap<Host, Weak<Semaphore>>>,
    /// Refused addresses that the log has.
    noted: Mutex<HashSet<Multiaddr>>,
    refused: AtomicU64,
}

/// Refused addresses that are remembered, so that each is logged once.
const MAX_NOTED: usize = 1_024;

impl OutboundGate {
    /// A gate with this policy.
    pub fn new(policy: DialPolicy) -> Self {
        let (hosts, noted, refused) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Shared { policy, hosts, noted, refused }))
    }

    /// The wire and the host that an address leads to, unless it is refused; a name is judged once more where it resolves.
    pub fn check(&self, address: &Multiaddr) -> Result<(Wire, Host), Refusal> {
        match Target::read(address)? {
            Target::Socket(wire, socket) => self.judge(socket.ip()).map(|()| (wire, Host::of(socket.ip()))),
            Target::Name(wire, name) => Ok((wire, Host::Name(name))),
        }
    }

    /// The address to connect to over this wire: rebuilt from what was judged, of an address in which nothing is left to
    /// resolve.
    pub fn admit(&self, address: &Multiaddr, wire: Wire) -> Result<Admitted, Refusal> {
        match Target::read(address)? {
            Target::Socket(of, socket) if of == wire => {
                self.judge(socket.ip())?;
                Ok(Admitted { wire, socket, slots: self.slots(Host::of(socket.ip())) })
            }
            _ => Err(Refusal::Unsupported),
        }
    }

    /// Count an address that is not dialled, and log it the first time.
    pub fn note(&self, address: &Multiaddr, refusal: Refusal) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        let mut noted = lock(&self.0.noted);
        if noted.len() >= MAX_NOTED {
            noted.clear();
        }
        if noted.insert(address.clone()) {
            tracing::info!(%address, %refusal, "an address is not dialled");
        }
    }

    /// How many addresses were refused so far.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    fn judge(&self, ip: IpAddr) -> Result<(), Refusal> {
        let inner = without_wrapping(ip);
        if self.0.policy.never.iter().any(|net| net.contains(&ip) || net.contains(&inner)) {
            return Err(Refusal::Excluded);
        }
        // The unspecified address is another spelling of loopback and nothing that anybody announces.
        if is_public_ip(ip) || self.0.policy.allow_private && !inner.is_unspecified() {
            return Ok(());
        }
        Err(Refusal::Private)
    }

    fn slots(&self, host: Host) -> Arc<Semaphore> {
        let mut hosts = lock(&self.0.hosts);
        if let Some(slots) = hosts.get(&host).and_then(Weak::upgrade) {
            return slots;
        }
        hosts.retain(|_, slots| slots.strong_count() > 0);
        let slots = Arc::new(Semaphore::new(MAX_PER_HOST));
        hosts.insert(host, Arc::downgrade(&slots));
        slots
    }
}

/// An endpoint that was judged, to be connected to as soon as its host has a slot.
#[derive(Debug)]
pub struct Admitted {
    wire: Wire,
    socket: SocketAddr,
    slots: Arc<Semaphore>,
}

impl Admitted {
    /// The address that means this endpoint and nothing else.
    pub fn address(&self) -> Multiaddr {
        self.wire.address(self.socket)
    }

    /// The endpoint to connect to over TCP.
    pub fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// Waits for a slot of the host; it is held until dropped.
    pub async fn slot(self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.slots.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(allow_private: bool, never: &[&str]) -> OutboundGate {
        let never = never.iter().map(|net| net.parse().expect("a network")).collect();
        OutboundGate::new(DialPolicy { allow_private, never })
    }

    fn admitted(gate: &OutboundGate, text: &str) -> Result<String, Refusal> {
        let address = text.parse().expect("a multiaddr");
        gate.admit(&address, Wire::Tcp).map(|admitted| admitted.address().to_string())
    }

    #[test]
    fn an_address_of_two_hosts_is_refused_whatever_they_are() {
        let peer = libp2p::PeerId::random();
        for gate in [gate(false, &[]), gate(true, &[])] {
            for text in [
                "/ip4/8.8.8.8/ip4/127.0.0.1/tcp/4001",
                "/ip4/8.8.8.8/ip6/::1/tcp/4001",
                "/ip4/8.8.8.8/tcp/4001/ip4/127.0.0.1/tcp/4001",
                "/ip4/8.8.8.8/tcp/4001/tcp/22",
                "/dns4/example.org/ip4/127.0.0.1/tcp/4001",
                "/tcp/4001/ip4/8.8.8.8",
                "/ip4/8.8.8.8",
                "/ip4/8.8.8.8/tcp/0",
                "/ip4/8.8.8.8/udp/4001/quic-v1",
                "/ip4/8.8.8.8/tcp/4001/ws",
                "/ip4/8.8.8.8/tcp/4001/p2p-circuit",
            ] {
                let with_peer = format!("{text}/p2p/{peer}");
                assert_eq!(admitted(&gate, text), Err(Refusal::Unsupported), "{text}");
                assert_eq!(admitted(&gate, &with_peer), Err(Refusal::Unsupported), "{with_peer}");
            }
        }
    }

    #[test]
    fn what_is_dialled_is_rebuilt_from_what_was_judged() {
        let gate = gate(false, &[]);
        let peer = libp2p::PeerId::random();
        for (text, dialled) in [
            (format!("/ip4/8.8.8.8/tcp/4001/p2p/{peer}"), Ok("/ip4/8.8.8.8/tcp/4001")),
            ("/ip6/2a00:1450::1/tcp/4001".to_owned(), Ok("/ip6/2a00:1450::1/tcp/4001")),
            ("/ip6/::ffff:8.8.8.8/tcp/4001".to_owned(), Ok("/ip4/8.8.8.8/tcp/4001")),
            ("/ip6/64:ff9b::808:808/tcp/4001".to_owned(), Ok("/ip6/64:ff9b::808:808/tcp/4001")),
            ("/ip6/::ffff:10.0.0.1/tcp/4001".to_owned(), Err(Refusal::Private)),
            ("/ip6/64:ff9b::a00:1/tcp/4001".to_owned(), Err(Refusal::Private)),
            ("/ip6/2002:7f00:1::/tcp/4001".to_owned(), Err(Refusal::Private)),
            ("/ip4/169.254.169.254/tcp/80".to_owned(), Err(Refusal::Private)),
            // A name is dialled only as what it resolves to.
            ("/dns4/example.org/tcp/4001".to_owned(), Err(Refusal::Unsupported)),
        ] {
            assert_eq!(admitted(&gate, &text), dialled.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_network_that_is_never_dialled_is_refused_in_every_spelling() {
        let gate = gate(true, &["198.41.0.0/16", "2a01:4f8::/32"]);
        for text in [
            "/ip4/198.41.0.4/tcp/1",
            "/ip6/::ffff:198.41.0.4/tcp/1",
            "/ip6/64:ff9b::c629:4/tcp/1",
            "/ip6/2002:c629:4::1/tcp/1",
            "/ip6/2a01:4f8::1/tcp/1",
        ] {
            assert_eq!(admitted(&gate, text), Err(Refusal::Excluded), "{text}");
        }
        assert_eq!(admitted(&gate, "/ip4/198.42.0.4/tcp/1"), Ok("/ip4/198.42.0.4/tcp/1".to_owned()));
        assert_eq!(admitted(&gate, "/ip4/127.0.0.1/tcp/1"), Ok("/ip4/127.0.0.1/tcp/1".to_owned()));
        assert_eq!(admitted(&gate, "/ip6/::ffff:0.0.0.0/tcp/1"), Err(Refusal::Private));
    }

    #[test]
    fn a_host_is_counted_once_whatever_it_is_called() {
        let gate = gate(true, &[]);
        let host = |text: &str| gate.check(&text.parse().expect("a multiaddr")).expect("it may be dialled").1;
        assert_eq!(host("/ip4/8.8.8.8/tcp/1"), host("/ip6/::ffff:8.8.8.8/tcp/2"));
        assert_eq!(host("/ip6/2a00:1450:1:2::1/tcp/1"), host("/ip6/2a00:1450:1:3::2/tcp/1"));
        assert_ne!(host("/ip6/2a00:1450:1::1/tcp/1"), host("/ip6/2a00:1450:2::1/tcp/1"));
        assert_eq!(host("/dns4/Example.org/tcp/1"), host("/dns6/example.org/tcp/2"));
    }

    #[test]
    fn each_wire_has_its_form_and_admits_no_other() {
        let gate = gate(false, &[]);
        let check = |text: &str| gate.check(&text.parse().expect("a multiaddr")).map(|(wire, _)| wire);
        for (text, expected) in [
            ("/ip4/8.8.8.8/tcp/4001", Ok(Wire::Tcp)),
            ("/dns4/example.org/udp/4001/quic-v1", Ok(Wire::Quic)),
            ("/ip4/8.8.8.8/tcp/80/ws", Ok(Wire::WebSocket)),
            ("/dns4/example.org/tcp/443/wss", Ok(Wire::WebSocket)),
            ("/dns6/example.org/tcp/443/tls/ws", Ok(Wire::WebSocket)),
            ("/ip4/8.8.8.8/tcp/443/tls/sni/example.org/ws", Ok(Wire::WebSocket)),
            ("/ip4/10.0.0.1/tcp/443/tls/ws", Err(Refusal::Private)),
            ("/ip4/10.0.0.1/udp/4001/quic-v1", Err(Refusal::Private)),
            ("/ip4/8.8.8.8/udp/4001", Err(Refusal::Unsupported)),
            ("/ip4/8.8.8.8/udp/4001/quic", Err(Refusal::Unsupported)),
            ("/ip4/8.8.8.8/udp/4001/quic-v1/webtransport", Err(Refusal::Unsupported)),
            ("/ip4/8.8.8.8/tcp/4001/quic-v1", Err(Refusal::Unsupported)),
            ("/ip4/8.8.8.8/tcp/443/tls", Err(Refusal::Unsupported)),
            ("/ip4/8.8.8.8/tcp/80/x-parity-ws/%2fadmin", Err(Refusal::Unsupported)),
        ] {
            assert_eq!(check(text), expected, "{text}");
        }
        let quic = "/ip6/::ffff:8.8.8.8/udp/4001/quic-v1".parse().expect("a multiaddr");
        assert_eq!(gate.admit(&quic, Wire::Tcp).map(drop), Err(Refusal::Unsupported));
        let admitted = gate.admit(&quic, Wire::Quic).expect("it may be dialled");
        assert_eq!(admitted.address().to_string(), "/ip4/8.8.8.8/udp/4001/quic-v1");
    }

    #[tokio::test]
    async fn connections_to_one_host_wait_for_a_slot() {
        let gate = gate(true, &[]);
        let open =
            |text: &str| gate.admit(&text.parse().expect("a multiaddr"), Wire::Tcp).expect("it may be dialled").slot();
        let mut held = Vec::new();
        for port in 1..=MAX_PER_HOST {
            held.push(open(&format!("/ip4/127.0.0.1/tcp/{port}")).await);
        }
        let mut waiting = Box::pin(open("/ip6/::ffff:127.0.0.1/tcp/99"));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(open("/ip4/127.0.0.2/tcp/1").await.is_some(), "another host has room");
        held.pop();
        assert!(waiting.await.is_some());
    }
}
