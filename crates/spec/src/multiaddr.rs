//! Multiaddrs as the pinning API carries them: text that ends in `/p2p/<peer id>`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use crate::ip::{is_public_ip, without_wrapping};

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
        self.hosts().any(|(protocol, value)| {
            matches!(protocol, "ip4" | "ip6") && value.parse().is_ok_and(|ip| without_wrapping(ip).is_unspecified())
        })
    }

    /// Whether it can be reached from the public internet as far as its text tells: it opens with a host, names no
    /// other one, and that is public.
    ///
    /// A DNS name counts as public; it is judged again at the address it resolves to when it is dialled.
    pub fn is_public(&self) -> bool {
        let mut hosts = self.hosts();
        let opens_with_host = self.0.split('/').nth(1).is_some_and(|protocol| HOSTS.contains(&protocol));
        match (hosts.next(), hosts.next()) {
            (Some(("ip4" | "ip6", address)), None) => opens_with_host && address.parse().is_ok_and(is_public_ip),
            (Some((_, name)), None) => opens_with_host && is_public_name(name),
            _ => false,
        }
    }

    /// Whether it is `/p2p/<peer id>` and no more: its addresses are to be looked up.
    pub fn is_peer_alone(&self) -> bool {
        self.0.matches('/').count() == 2
    }

    /// Its parts that name a host, each with the value that follows.
    fn hosts(&self) -> impl Iterator<Item = (&str, &str)> {
        let parts = self.0.split('/').skip(1);
        let values = self.0.split('/').skip(2).chain([""]);
        parts.zip(values).filter(|(protocol, _)| HOSTS.contains(protocol))
    }
}

/// The parts of an address that name a host.
const HOSTS: [&str; 7] = ["ip4", "ip6", "ip6zone", "dns", "dns4", "dns6", "dnsaddr"];

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

impl fmt::Display for Multiaddr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
