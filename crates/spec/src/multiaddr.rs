//! Multiaddrs as the pinning API carries them: text that ends in `/p2p/<peer id>`.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

/// An address of a peer, kept as the text that was sent.
///
/// Only its shape is read here, so that a transport which is unknown today is never an error:
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
        let well_formed = text.starts_with('/')
            && text.len() <= 1024
            && text.chars().all(|character| !character.is_control() && !character.is_whitespace());
        let mut parts = text.split('/').skip(1).collect::<Vec<_>>();
        if !well_formed || parts.len() < 2 || parts.iter().any(|part| part.is_empty()) {
            return Err(MultiaddrError::Malformed);
        }
        let peer = parts.pop().ok_or(MultiaddrError::Malformed)?;
        let protocol = parts.pop().ok_or(MultiaddrError::Malformed)?;
        if !matches!(protocol, "p2p" | "ipfs") || !is_peer_id(peer) {
            return Err(MultiaddrError::NoPeer);
        }
        Ok(Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can be reached from the public internet as far as its text tells.
    ///
    /// A DNS name counts as public; it is judged again at the address it resolves to when it is dialled.
    pub fn is_public(&self) -> bool {
        let mut parts = self.0.split('/').skip(1);
        match (parts.next(), parts.next()) {
            (Some("ip4" | "ip6"), Some(address)) => address.parse().is_ok_and(is_public_ip),
            (Some("dns" | "dns4" | "dns6" | "dnsaddr"), Some(name)) => {
                name != "localhost" && !name.ends_with(".localhost") && !name.ends_with(".local")
            }
            _ => false,
        }
    }
}

/// Whether `text` reads as a peer id: base58btc of a multihash, or a CID in base32 or base36.
fn is_peer_id(text: &str) -> bool {
    let multihash = if text.starts_with("Qm") || text.starts_with('1') {
        multibase::Base::Base58Btc.decode(text).ok()
    } else {
        cid::Cid::try_from(text).ok().map(|cid| cid.hash().to_bytes())
    };
    multihash.is_some_and(|bytes| multihash::Multihash::<64>::from_bytes(&bytes).is_ok())
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
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public_ip(IpAddr::V4(v4)),
            None => {
                let first = v6.segments()[0];
                (first & 0xe000) == 0x2000 && !(first == 0x2001 && v6.segments()[1] == 0x0db8)
            }
        },
    }
}

impl fmt::Display for Multiaddr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
