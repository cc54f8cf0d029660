//! Listening when a node starts: it has its addresses then, or an error says which cannot be listened on.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use tokio::time::timeout;

use super::Network;
use crate::options::NodeError;

/// How long the addresses of an interface may take to become known once the machine listens there.
const KNOWN_LIMIT: Duration = Duration::from_secs(2);

impl Network {
    /// Listen on all of `wanted`; it is known when this returns which addresses with which ports these are. Of IPv4 and
    /// IPv6 one may be missing on this machine.
    pub async fn listen(&mut self, wanted: &[Multiaddr]) -> Result<(), NodeError> {
        let mut waiting = HashMap::new();
        let mut missing = None;
        for address in wanted {
            if let Err((ip, error)) = check_free(address) {
                let error_of = refused(address, &error);
                if !is_family_missing(ip, &error) {
                    return Err(error_of);
                }
                tracing::warn!(%address, %error, "this machine lacks that kind of address, so it is not listened on");
                missing = Some(error_of);
                continue;
            }
            let listener = self.swarm.listen_on(address.clone()).map_err(|error| refused(address, &error))?;
            waiting.insert(listener, address);
        }
        match missing {
            Some(error) if waiting.is_empty() => Err(error),
            _ => self.wait_for_addresses(waiting).await,
        }
    }

    async fn wait_for_addresses(&mut self, mut waiting: HashMap<ListenerId, &Multiaddr>) -> Result<(), NodeError> {
        while !waiting.is_empty() {
            let Ok(event) = timeout(KNOWN_LIMIT, self.swarm.select_next_some()).await else {
                // Those of an interface that comes up later are taken in then.
                for address in waiting.into_values() {
                    tracing::warn!(%address, "no interface has an address of this kind yet");
                }
                return Ok(());
            };
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => drop(waiting.remove(listener_id)),
                SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                    if let Some(address) = waiting.get(listener_id) {
                        return Err(refused(address, error));
                    }
                }
                _ => {}
            }
            self.handle(event);
        }
        // A wildcard stands for several addresses, and the first of them is that of loopback.
        while let Some(event) = self.swarm.next().now_or_never().flatten() {
            self.handle(event);
        }
        Ok(())
    }
}

/// The transport shares ports so as to dial from where it listens; without this a second node would get half of the
/// first one's connections. As there, IPv6 stands for itself alone, so that IPv4 may have the same port.
fn check_free(address: &Multiaddr) -> Result<(), (IpAddr, io::Error)> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    let tried = match parts.next() {
        Some(Protocol::Tcp(port)) => try_listening(SocketAddr::new(ip, port)),
        Some(Protocol::Udp(port)) => UdpSocket::bind(SocketAddr::new(ip, port)).map(drop),
        _ => return Ok(()),
    };
    tried.map_err(|error| (ip, error))
}

fn try_listening(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

/// Whether the machine has no IPv4 or no IPv6 at all, as opposed to not having one address.
fn is_family_missing(ip: IpAddr, error: &io::Error) -> bool {
    let unsupported = Errno::AFNOSUPPORT.raw_os_error();
    error.raw_os_error() == Some(unsupported) || ip.is_unspecified() && error.kind() == io::ErrorKind::AddrNotAvailable
}

fn refused(address: &Multiaddr, error: &dyn std::error::Error) -> NodeError {
    // The system's own words are at the end of the chain.
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    NodeError::Listen { address: address.clone(), reason: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_is_told_from_one_without_an_address() {
        let unsupported = || io::Error::from_raw_os_error(Errno::AFNOSUPPORT.raw_os_error());
        let unavailable = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(is_family_missing(ip("::1"), &unsupported()) && is_family_missing(ip("::"), &unsupported()));
        assert!(is_family_missing(ip("::"), &unavailable()));
        assert!(!is_family_missing(ip("2001:db8::1"), &unavailable()));
        assert!(!is_family_missing(ip("::"), &io::ErrorKind::AddrInUse.into()));
    }
}
