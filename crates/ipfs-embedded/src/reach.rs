//! From where an address can be dialled.

use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;
use pinrail_spec::is_public_ip;

use crate::gate::Wire;

/// From where an address can be dialled, the most useful first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Public,
    Private,
    Loopback,
    /// From a network of one link, and where it is IPv6 only by who knows which of its interfaces leads there.
    Link,
}

impl Reach {
    fn of(address: &Multiaddr) -> Self {
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) if ip.is_loopback() => Self::Loopback,
            Some(Protocol::Ip6(ip)) if ip.is_loopback() => Self::Loopback,
            Some(Protocol::Ip4(ip)) if ip.is_link_local() => Self::Link,
            Some(Protocol::Ip6(ip)) if ip.is_unicast_link_local() => Self::Link,
            Some(Protocol::Ip4(ip)) if is_public_ip(ip.into()) => Self::Public,
            Some(Protocol::Ip6(ip)) if is_public_ip(ip.into()) => Self::Public,
            _ => Self::Private,
        }
    }
}

/// The addresses that others can dial, the best first, of all those that a node listens on.
///
/// Where it listens on every interface they come in no order, and clients are given the first few of them and dial one
/// after another. What only this machine or one link can dial is left out unless there is nothing better.
pub fn best_first(mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    addresses.sort_by_key(|address| (Reach::of(address), Wire::of(address)));
    let last = addresses.first().map(Reach::of).max(Some(Reach::Private));
    addresses.retain(|address| Some(Reach::of(address)) <= last);
    addresses
}

/// Addresses that a node tells of itself; other nodes cut longer lists.
const MAX_TOLD: usize = 8;

/// The addresses that a node tells others of itself, at most eight: the announced ones if there are any, else those that
/// it listens on, the best first. A node of the public network tells none there that is not publicly routable.
pub fn to_tell(announced: &[Multiaddr], listening: &[Multiaddr], is_public: bool) -> Vec<Multiaddr> {
    let mut told = if announced.is_empty() { best_first(listening.to_vec()) } else { announced.to_vec() };
    if announced.is_empty() && is_public {
        told.retain(|address| Reach::of(address) == Reach::Public);
    }
    told.truncate(MAX_TOLD);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_addresses_in_equal_reach_tcp_comes_first() {
        let texts = ["/ip4/10.0.0.1/tcp/4402/ws", "/ip4/10.0.0.1/udp/4401/quic-v1", "/ip4/10.0.0.1/tcp/4401"];
        let addresses = texts.map(|text| text.parse().expect("a multiaddr")).to_vec();
        let mut best = best_first(addresses).iter().map(ToString::to_string).collect::<Vec<_>>();
        best.reverse();
        assert_eq!(best, texts);
    }

    #[test]
    fn what_others_can_dial_comes_first() {
        let best = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().expect("a multiaddr")).collect();
            best_first(addresses).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let (loopback, loopback6) = ("/ip4/127.0.0.1/tcp/4401", "/ip6/::1/tcp/4401");
        let (link, link6) = ("/ip4/169.254.3.4/tcp/4401", "/ip6/fe80::1/tcp/4401");
        let (bridge, lan) = ("/ip4/172.17.0.1/tcp/4401", "/ip4/192.168.1.5/tcp/4401");
        let (public, public6) = ("/ip4/8.8.8.8/tcp/4401", "/ip6/2a00:1450::1/tcp/4401");
        assert_eq!(best(&[loopback, bridge, lan, link6, public, loopback6, public6]), [public, public6, bridge, lan]);
        assert_eq!(best(&[loopback, link, lan, link6]), [lan]);
        assert_eq!(best(&[link6, loopback6, link, loopback]), [loopback6, loopback]);
        assert_eq!(best(&[link6, link]), [link6, link]);
        assert!(best(&[]).is_empty());
    }
}
