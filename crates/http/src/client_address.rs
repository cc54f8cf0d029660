//! The address of a client, also behind proxies that are trusted to tell it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::{IpNet, Ipv6Net};

/// The part of an IPv6 address that all of one site shares.
const SITE: u8 = 48;

/// The address that a request comes from, as limits count it and logs name it. [`serve`](crate::serve) adds it to the
/// extensions of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The network whose members limits count together: an IPv4 address alone, an IPv6 address with its /48.
    pub fn network(self) -> IpNet {
        match self.0.to_canonical() {
            ip @ IpAddr::V4(_) => ip.into(),
            IpAddr::V6(ip) => Ipv6Net::new_assert(ip, SITE).trunc().into(),
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

/// The proxies that are believed when they say who their client is.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(crate) const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// The client of a request that came from `peer`: the nearest hop that is not trusted.
    ///
    /// `Forwarded` and `X-Forwarded-For` count only from a trusted peer. A proxy sets one of them and may pass on what a
    /// client wrote into the other, so where both are there and disagree neither counts.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return ClientAddress(peer);
        }
        let listed = self.nearest_untrusted(headers, "x-forwarded-for", address);
        let forwarded = self.nearest_untrusted(headers, "forwarded", forwarded_for);
        ClientAddress(match (listed, forwarded) {
            (Some(one), Some(other)) if one != other => peer,
            (one, other) => one.or(other).unwrap_or(peer),
        })
    }

    /// The last hop of a header that is not trusted, or the farthest that can be read.
    fn nearest_untrusted(&self, headers: &HeaderMap, name: &str, read: fn(&str) -> Option<IpAddr>) -> Option<IpAddr> {
        let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
        let mut nearest = None;
        // No address holds a comma. From the end, what a client wrote before cannot hide what a proxy added.
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(ip) = read(hop) else { break };
            nearest = Some(ip);
            if !self.contains(ip) {
                break;
            }
        }
        nearest
    }
}

/// The `for` of one element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(value.trim().trim_matches('"'))
}

/// An address, which may stand in brackets and have a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    ip.ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"].map(|text| text.parse().unwrap());
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        TrustedProxies::new(networks.to_vec()).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_nearest_hop_that_is_not_trusted_is_the_client() {
        let (listed, forwarded) = ("x-forwarded-for", "forwarded");
        for (peer, headers, wanted) in [
            ("10.0.0.1", &[(listed, "198.51.100.1")] as &[_], "198.51.100.1"),
            ("::ffff:10.0.0.1", &[(listed, "198.51.100.1")], "198.51.100.1"),
            ("fd00::1", &[(listed, "1.1.1.1, 198.51.100.1, 10.2.3.4")], "198.51.100.1"),
            ("10.0.0.1", &[(listed, "1.1.1.1"), (listed, "198.51.100.1"), (listed, "192.0.2.7")], "198.51.100.1"),
            ("10.0.0.1", &[(listed, "10.0.0.3,10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(listed, "2001:db8::9")], "2001:db8::9"),
            ("10.0.0.1", &[(listed, "198.51.100.1:4711")], "198.51.100.1"),
            ("10.0.0.1", &[(forwarded, "For=198.51.100.1;proto=https;by=10.0.0.1")], "198.51.100.1"),
            ("10.0.0.1", &[(forwarded, r#"for=1.1.1.1, proto=http; for="[2001:db8::9]:4711""#)], "2001:db8::9"),
            ("10.0.0.1", &[(forwarded, r#"for="1.1.1.1, for=198.51.100.1"#)], "198.51.100.1"),
            ("10.0.0.1", &[(forwarded, "for=198.51.100.1"), (listed, "198.51.100.1")], "198.51.100.1"),
        ] {
            assert_eq!(client(peer, headers), wanted, "{peer} {headers:?}");
        }
    }

    #[test]
    fn what_is_not_told_by_a_trusted_proxy_does_not_count() {
        for (peer, headers) in [
            ("198.51.100.1", &[("x-forwarded-for", "1.1.1.1")] as &[_]),
            ("198.51.100.1", &[("forwarded", "for=1.1.1.1")]),
            ("10.0.0.1", &[]),
            ("10.0.0.1", &[("x-forwarded-for", "unknown")]),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, somebody")]),
            ("10.0.0.1", &[("forwarded", "for=_hidden")]),
            ("10.0.0.1", &[("forwarded", "proto=https")]),
            ("10.0.0.1", &[("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "198.51.100.1")]),
        ] {
            assert_eq!(client(peer, headers), peer, "{headers:?}");
        }
    }

    #[test]
    fn a_site_counts_as_one() {
        let network = |text: &str| ClientAddress(text.parse().unwrap()).network();
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:ffff::9"));
        assert_ne!(network("2001:db8:1::"), network("2001:db8:2::"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
    }
}
