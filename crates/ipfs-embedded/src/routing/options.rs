//! How a node finds the providers of what it fetches, as its operator decides.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use libp2p::Multiaddr;
use thiserror::Error;

/// Servers through which nodes enter the DHT of the public network.
const PUBLIC_BOOTSTRAP: [&str; 6] = [
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
    "/dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
    "/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
];
/// Public routers: of the DHT and IPNI, and of IPNI alone.
const PUBLIC_ROUTERS: [&str; 2] = ["https://delegated-ipfs.dev", "https://cid.contact"];

/// The part that a node takes in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DhtMode {
    /// None.
    #[default]
    Off,
    /// It asks others, and answers nobody.
    Client,
    /// It answers others too, and keeps their records in memory: at most 16,384 keys. Meant for small private networks.
    Server,
}

/// How a node finds providers.
///
/// It is the public DHT (`/ipfs/kad/1.0.0`), or where private addresses may be dialled, that of private networks
/// (`/ipfs/lan/kad/1.0.0`). DHT servers and routers learn which CIDs are looked for.
#[derive(Debug, Clone, Default)]
pub struct RoutingOptions {
    /// The part that it takes in the DHT.
    pub dht: DhtMode,
    /// Servers through which it enters the DHT; addresses that end in `/p2p/<peer id>`.
    pub bootstrap: Vec<Multiaddr>,
    /// Services that it asks over HTTP.
    pub routers: Vec<RouterUrl>,
}

impl RoutingOptions {
    /// The options where the operator named none of these: the public network's, or nobody is asked where private
    /// addresses may be dialled. With a bootstrap list of its own a private network has a DHT.
    pub fn new(
        is_private: bool,
        dht: Option<DhtMode>,
        bootstrap: Option<Vec<Multiaddr>>,
        routers: Option<Vec<RouterUrl>>,
    ) -> Self {
        let public =
            |list: &[&str]| if is_private { Vec::new() } else { list.iter().map(|&text| text.to_owned()).collect() };
        let is_entered = !is_private || bootstrap.as_ref().is_some_and(|list| !list.is_empty());
        Self {
            dht: dht.unwrap_or(if is_entered { DhtMode::Client } else { DhtMode::Off }),
            bootstrap: bootstrap.unwrap_or_else(|| parse_all(&public(&PUBLIC_BOOTSTRAP))),
            routers: routers.unwrap_or_else(|| parse_all(&public(&PUBLIC_ROUTERS))),
        }
    }
}

fn parse_all<T: FromStr>(texts: &[String]) -> Vec<T> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The URL of a service that speaks `/routing/v1`, such as `https://delegated-ipfs.dev`; what comes before that path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterUrl(String);

/// Why a text is no URL of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a URL of a router, wanted one such as https://delegated-ipfs.dev, without a query")]
pub struct RouterUrlError;

impl FromStr for RouterUrl {
    type Err = RouterUrlError;

    fn from_str(text: &str) -> Result<Self, RouterUrlError> {
        let uri = text.parse::<Uri>().map_err(|_| RouterUrlError)?;
        let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
        let is_plain = uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none();
        let base = text.trim_end_matches('/').trim_end_matches("/routing/v1").trim_end_matches('/');
        if is_web && is_plain { Ok(Self(base.to_owned())) } else { Err(RouterUrlError) }
    }
}

impl fmt::Display for RouterUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_network_calls_out_to_nobody_unless_it_is_told_to() {
        let private = RoutingOptions::new(true, None, None, None);
        assert_eq!((private.dht, private.bootstrap.len(), private.routers.len()), (DhtMode::Off, 0, 0));
        let own = vec!["/ip4/10.0.0.1/tcp/4001".parse().expect("a multiaddr")];
        let entered = RoutingOptions::new(true, None, Some(own.clone()), None);
        assert_eq!((entered.dht, entered.bootstrap, entered.routers.len()), (DhtMode::Client, own, 0));
    }

    #[test]
    fn the_public_network_is_entered_by_default() {
        let public = RoutingOptions::new(false, None, None, None);
        assert_eq!((public.dht, public.bootstrap.len(), public.routers.len()), (DhtMode::Client, 6, 2));
        let alone = RoutingOptions::new(false, Some(DhtMode::Off), None, Some(Vec::new()));
        assert_eq!((alone.dht, alone.routers.len()), (DhtMode::Off, 0));
    }

    #[test]
    fn the_url_of_a_router_is_what_comes_before_the_path_of_its_api() {
        let read = |text: &str| text.parse::<RouterUrl>().map(|url| url.to_string());
        for text in ["https://example.org", "https://example.org/", "https://example.org/routing/v1/"] {
            assert_eq!(read(text), Ok("https://example.org".to_owned()));
        }
        assert_eq!(read("http://10.0.0.1:8190/base"), Ok("http://10.0.0.1:8190/base".to_owned()));
        for text in ["", "example.org", "ftp://example.org", "https://", "/routing/v1", "https://example.org/?a=b"] {
            assert_eq!(read(text), Err(RouterUrlError), "{text}");
        }
    }
}
