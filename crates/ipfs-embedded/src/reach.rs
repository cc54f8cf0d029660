//! From where an address can be dialled.

use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;

/// Whether an address with its host resolved is publicly routable.
pub fn is_public(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => is_public_ip(ip.into()),
        Some(Protocol::Ip6(ip)) => is_public_ip(ip.into()),
        _ => false,
    }
}

fn is_public_ip(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            let protocols = a == 192 && b == 0 && c == 0;
            let benchmarking = a == 198 && b & 0xfe == 18;
            let special = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation();
            // 224 and above are multicast, reserved and broadcast.
            !(a == 0 || a >= 224 || shared || protocols || benchmarking || special)
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            // Global unicast, without documentation and the two ranges that carry an IPv4 address within.
            a & 0xe000 == 0x2000 && a != 0x2002 && !(a == 0x2001 && (b == 0x0db8 || b == 0))
        }
    }
}

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
        let (loopback, link) = match address.iter().next() {
            Some(Protocol::Ip4(ip)) => (ip.is_loopback(), ip.is_link_local()),
            Some(Protocol::Ip6(ip)) => (ip.is_loopback(), ip.is_unicast_link_local()),
            _ => (false, false),
        };
        match (loopback, link) {
            (true, _) => Self::Loopback,
            (_, true) => Self::Link,
            _ if is_public(address) => Self::Public,
            _ => Self::Private,
        }
    }
}

/// The addresses that others can dial, the best first, of all those that a node listens on.
///
/// Where it listens on every interface they come in no order, and clients are given the first few of them and dial one
/// after another. What only this machine or one link can dial is left out unless there is nothing better.
pub fn best_first(mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    addresses.sort_by_key(Reach::of);
    let last = addresses.first().map(Reach::of).max(Some(Reach::Private));
    addresses.retain(|address| Some(Reach::of(address)) <= last);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_publicly_routable_addresses_are_public() {
        for (text, expected) in [
            ("/ip4/8.8.8.8/tcp/4001", true),
            ("/ip6/2a00:1450::1/tcp/4001", true),
            ("/ip4/127.0.0.1/tcp/22", false),
            ("/ip4/10.1.2.3/tcp/4001", false),
            ("/ip4/172.20.0.1/tcp/4001", false),
            ("/ip4/169.254.169.254/tcp/80", false),
            ("/ip4/100.64.0.1/tcp/4001", false),
            ("/ip4/224.0.0.1/tcp/4001", false),
            ("/ip6/::1/tcp/4001", false),
            ("/ip6/::ffff:10.0.0.1/tcp/4001", false),
            ("/ip6/64:ff9b::a00:1/tcp/4001", false),
            ("/ip6/2002:a00:1::/tcp/4001", false),
            ("/ip6/fd00::1/tcp/4001", false),
            ("/ip6/fe80::1/tcp/4001", false),
            ("/dns4/example.org/tcp/4001", false),
        ] {
            assert_eq!(is_public(&text.parse().expect("a multiaddr")), expected, "{text}");
        }
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
