//! Multiaddrs as the pinning API carries them: text that ends in `/p2p/<peer id>`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// A longer text is no address that anybody dials.
const MAX_BYTES: usize = 1024;

/// An address of a peer, kept as the text that was sent.
///
/// Only its shape is read here, so that a transport or a kind of key that is unknown today is never an error:
/// strictness about transports broke Kubo elsewhere (ipfs-webui#2096).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiaddr(String);

/// Why a text cannot be used as a peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MultiaddrError {
    /// Not of the form `/protocol/value/…`.
    #[error("not a multiaddr, wanted one such as /ip4/203.0.113.142/tcp/4001/p2p/QmPeer")]
    Malformed,
    /// It names no peer.
    #[error("the multiaddr names no peer, wanted one that ends in /p2p/<peer id>")]
    NoPeer,
}

impl Multiaddr {
    /// Read a multiaddr that ends in `/p2p/<peer id>` (`/ipfs/` is its older name).
    pub fn parse(text: &str) -> Result<Self, MultiaddrError> {
        let clean = text.len() <= MAX_BYTES && !text.contains(|c: char| c.is_control() || c.is_whitespace());
        let rest = text.strip_prefix('/').filter(|_| clean).ok_or(MultiaddrError::Malformed)?;
        let parts = rest.split('/').collect::<Vec<_>>();
        let values_read = parts.windows(2).all(|pair| is_value_of(pair[0], pair[1]));
        if parts.iter().any(|part| part.is_empty()) || !values_read {
            return Err(MultiaddrError::Malformed);
        }
        match parts.as_slice() {
            [.., "p2p" | "ipfs", peer] if is_peer_id(peer) => Ok(Self(text.to_owned())),
            [_, _, ..] => Err(MultiaddrError::NoPeer),
            _ => Err(MultiaddrError::Malformed),
        }
    }

    /// One that [`Self::parse`] accepted before, read back from where it was kept.
    ///
    /// Reading it again would cost a page of a list more than everything else of it.
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is where somebody listens on every address (`0.0.0.0`, `::`), which nobody can dial.
    pub fn is_unspecified(&self) -> bool {
        let mut parts = self.0.split('/').skip(1);
        matches!((parts.next(), parts.next()), (Some("ip4" | "ip6"), Some(address)) if is_unspecified_ip(address))
    }

    /// Whether it can be reached from the public internet as far as its text tells.
    ///
    /// A DNS name counts as public; it is judged again at the address it resolves to when it is dialled.
    pub fn is_public(&self) -> bool {
        let mut parts = self.0.split('/').skip(1);
        match (parts.next(), parts.next()) {
            (Some("ip4" | "ip6"), Some(address)) => address.parse().is_ok_and(is_public_ip),
            (Some("dns" | "dns4" | "dns6" | "dnsaddr"), Some(name)) => is_public_name(name),
            _ => false,
        }
    }
}

/// Whether `text` is the address that stands for all of a machine's own, of IPv4, IPv6, or one within the other.
fn is_unspecified_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_unspecified())
}

/// Whether `value` can follow `protocol`; of a protocol that is not known here anything can.
fn is_value_of(protocol: &str, value: &str) -> bool {
    match protocol {
        "ip4" => value.parse::<Ipv4Addr>().is_ok(),
        "ip6" => value.parse::<Ipv6Addr>().is_ok(),
        "tcp" | "udp" => value.parse::<u16>().is_ok(),
        _ => true,
    }
}

/// Whether a DNS name can mean a host outside: it has a dot and no ending that is kept for private use.
fn is_public_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let private = ["localhost", "local", "internal", "lan", "home.arpa"];
    let (host, _) = name.split_once('.').unwrap_or_default();
    !host.is_empty() && !private.iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')))
}

/// Whether `text` has the shape of a peer id, in whatever base: whether it is one shows when it is dialled, and the
/// specification's own examples end in `/p2p/QmSourcePeerId`.
fn is_peer_id(text: &str) -> bool {
    text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether `address` is globally routable: no loopback, private, link-local, shared or documentation range.
fn is_public_ip(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_unspecified()
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || (a == 100 && (b & 0xc0) == 64)
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b & 0xfe) == 18)
                || a >= 240)
        }
        IpAddr::V6(v6) => is_public_ipv6(v6),
    }
}

/// Of IPv6 only `2000::/3` is routed; the ranges in it that carry an IPv4 address are judged by that.
fn is_public_ipv6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_ip(IpAddr::V4(v4));
    }
    let [first, second, third, ..] = address.segments();
    match (first, second) {
        (0x2001, 0x0000 | 0x0db8) => false,
        (0x2002, high) => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = third.to_be_bytes();
            is_public_ip(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        _ => (first & 0xe000) == 0x2000,
    }
}

impl fmt::Display for Multiaddr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
