//! The block of addresses that a peer connects from, which is what one customer of a network may choose freely.

use std::net::{IpAddr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::core::multiaddr::Protocol;

/// A /24 of IPv4 or a /48 of IPv6. Peer ids cost nothing, so limits and bans count by this too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressBlock {
    /// The first three bytes of an IPv4 address, also of one that is mapped into IPv6.
    V4([u8; 3]),
    /// The first three groups of an IPv6 address.
    V6([u16; 3]),
    /// The address is a name or of no IP network.
    Other,
}

impl AddressBlock {
    /// The block of the remote end of a connection.
    pub fn of(address: &Multiaddr) -> Self {
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) => Self::of_ip(ip.into()),
            Some(Protocol::Ip6(ip)) => Self::of_ip(ip.into()),
            _ => Self::Other,
        }
    }

    fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                Self::V6([a, b, c])
            }
        }
    }
}

impl std::fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V4([a, b, c]) => write!(f, "{a}.{b}.{c}.0/24"),
            Self::V6([a, b, c]) => write!(f, "{}/48", Ipv6Addr::from([*a, *b, *c, 0, 0, 0, 0, 0])),
            Self::Other => write!(f, "no IP network"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_24_or_a_48() {
        for (text, expected) in [
            ("/ip4/203.0.113.142/tcp/4001", "203.0.113.0/24"),
            ("/ip6/::ffff:203.0.113.7/tcp/4001", "203.0.113.0/24"),
            ("/ip6/2001:db8:1:2::3/tcp/4001", "2001:db8:1::/48"),
            ("/dns4/example.org/tcp/4001", "no IP network"),
        ] {
            assert_eq!(AddressBlock::of(&text.parse().expect("a multiaddr")).to_string(), expected, "{text}");
        }
    }
}
