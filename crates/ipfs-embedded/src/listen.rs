//! Listening when a node starts: it has its addresses then, or an error says which cannot be listened on.

use std::net::{IpAddr, TcpListener};

use futures::{FutureExt, StreamExt};
use libp2p::core::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Swarm};

use crate::node::NodeError;

/// Listen on all of `wanted`; the addresses with their real ports.
pub async fn listen<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    wanted: &[Multiaddr],
) -> Result<Vec<Multiaddr>, NodeError> {
    let mut waiting = Vec::new();
    for address in wanted {
        check_free(address)?;
        let listener = swarm.listen_on(address.clone());
        let failed = |error: &dyn std::error::Error| refused(address, error);
        waiting.push((listener.map_err(|error| failed(&error))?, address));
    }
    let mut addresses = Vec::new();
    while !waiting.is_empty() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                waiting.retain(|(waited, _)| *waited != listener_id);
                addresses.push(address);
            }
            SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                if let Some((_, address)) = waiting.iter().find(|(waited, _)| *waited == listener_id) {
                    return Err(refused(address, &error));
                }
            }
            _ => {}
        }
    }
    // A wildcard stands for several addresses, and the first of them is that of loopback.
    while let Some(SwarmEvent::NewListenAddr { address, .. }) = swarm.select_next_some().now_or_never() {
        addresses.push(address);
    }
    Ok(addresses)
}

/// The transport shares ports so as to dial from where it listens; without this a second node would get half of the
/// first one's connections.
fn check_free(address: &Multiaddr) -> Result<(), NodeError> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip),
        _ => return Ok(()),
    };
    let Some(Protocol::Tcp(port)) = parts.next() else { return Ok(()) };
    TcpListener::bind((ip, port)).map(drop).map_err(|error| refused(address, &error))
}

fn refused(address: &Multiaddr, error: &dyn std::error::Error) -> NodeError {
    // The system's own words are at the end of the chain.
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    NodeError::Listen { address: address.clone(), reason: cause.to_string() }
}
