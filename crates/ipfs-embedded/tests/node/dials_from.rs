//! TCP that dials from a chosen address, so that peers of one machine come from several networks.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};
use libp2p::tcp;
use tokio::net::{TcpSocket, TcpStream};

/// The transport; it listens as any other.
pub struct DialsFrom {
    ip: Ipv4Addr,
    listening: tcp::tokio::Transport,
}

impl DialsFrom {
    pub fn new(ip: Ipv4Addr) -> Self {
        Self { ip, listening: tcp::tokio::Transport::new(tcp::Config::default()) }
    }
}

/// Connect from `ip` to an address that begins with an IP address and a TCP port.
pub async fn connect_from(ip: Ipv4Addr, address: &Multiaddr) -> io::Result<TcpStream> {
    let mut parts = address.iter();
    let (Some(Protocol::Ip4(host)), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    };
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::V4(SocketAddrV4::new(ip, 0)))?;
    socket.connect(SocketAddr::V4(SocketAddrV4::new(host, port))).await
}

impl Transport for DialsFrom {
    type Output = tcp::tokio::TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = <tcp::tokio::Transport as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<tcp::tokio::TcpStream>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.listening.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listening.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let ip = self.ip;
        Ok(Box::pin(async move { connect_from(ip, &address).await.map(tcp::tokio::TcpStream) }))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.listening).poll(cx)
    }
}
