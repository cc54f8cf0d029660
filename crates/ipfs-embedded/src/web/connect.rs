//! Connecting to a host by its name: each address that the name resolves to is judged by the outbound gate, and what was
//! judged is connected to, so that a name cannot be bound anew in between.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

use crate::gate::{OutboundGate, Wire};

/// Resolving and connecting may take this long together.
const LIMIT: Duration = Duration::from_secs(3);
/// One of several addresses may take this long.
const ADDRESS_LIMIT: Duration = Duration::from_secs(1);
/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Opens TCP connections to hosts.
#[derive(Debug, Clone)]
pub struct Connector {
    gate: OutboundGate,
}

impl Connector {
    /// A connector that opens what `gate` admits.
    pub fn new(gate: OutboundGate) -> Self {
        Self { gate }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let gate = self.gate.clone();
        Box::pin(async move { tokio::time::timeout(LIMIT, connect(&gate, &uri)).await?.map(TokioIo::new) })
    }
}

async fn connect(gate: &OutboundGate, uri: &Uri) -> io::Result<TcpStream> {
    let host = uri.host().ok_or(io::ErrorKind::InvalidInput)?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let addresses = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => lookup_host((host, port)).await?.take(MAX_ADDRESSES).collect(),
    };
    let mut failed = io::Error::from(io::ErrorKind::HostUnreachable);
    for address in addresses {
        match tokio::time::timeout(ADDRESS_LIMIT, open(gate, address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(elapsed) => failed = elapsed.into(),
        }
    }
    Err(failed)
}

async fn open(gate: &OutboundGate, address: SocketAddr) -> io::Result<TcpStream> {
    let named = Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()));
    let admitted = gate.admit(&named, Wire::Tcp).map_err(|refusal| {
        gate.note(&named, refusal);
        io::Error::new(io::ErrorKind::PermissionDenied, refusal)
    })?;
    let socket = admitted.socket();
    let _slot = admitted.slot().await;
    let stream = TcpStream::connect(socket).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::gate::DialPolicy;

    async fn opened(allow_private: bool, uri: String) -> io::Result<TcpStream> {
        let gate = OutboundGate::new(DialPolicy { allow_private, never: Vec::new() });
        connect(&gate, &uri.parse().expect("a URI")).await
    }

    #[tokio::test]
    async fn only_what_the_gate_admits_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"] {
            let refused = opened(false, format!("http://{host}:{port}/")).await.expect_err("it is private");
            assert_ne!(refused.kind(), io::ErrorKind::ConnectionRefused, "{host}");
        }
        for host in ["127.0.0.1", "localhost"] {
            opened(true, format!("http://{host}:{port}/")).await.expect("it is allowed");
        }
        listener.accept().await.expect("one");
        listener.accept().await.expect("another");
        assert!(futures::FutureExt::now_or_never(listener.accept()).is_none(), "and no others");
    }
}
