//! What a client wants records of alone (IPIP-484).

use pinrail_ipfs_embedded::Multiaddr;
use serde::Deserialize;

use super::record::{BITSWAP, Record};

/// Stands in a filter for records that name nothing it could be held against.
const UNKNOWN: &str = "unknown";

/// The filters of a request, each a list with commas.
#[derive(Debug, Default, Deserialize)]
pub struct Filters {
    /// Protocols of multiaddrs such as `quic-v1`, of which an address has to have one; `!` before one that it must not
    /// have.
    #[serde(rename = "filter-addrs", default)]
    addresses: String,
    /// Protocols by which blocks are had, of which one has to be spoken.
    #[serde(rename = "filter-protocols", default)]
    protocols: String,
}

impl Filters {
    /// The record with the addresses that are wanted; none if it is not wanted without others.
    pub fn apply(&self, record: Record) -> Option<Record> {
        let speaks =
            self.protocols.is_empty() || list(&self.protocols).any(|wanted| wanted.eq_ignore_ascii_case(BITSWAP));
        let addresses: Vec<Multiaddr> = record.addresses.into_iter().filter(|address| self.wants(address)).collect();
        let is_wanted = self.addresses.is_empty()
            || !addresses.is_empty()
            || list(&self.addresses).any(|wanted| wanted.eq_ignore_ascii_case(UNKNOWN));
        (speaks && is_wanted).then_some(Record { addresses, ..record })
    }

    fn wants(&self, address: &Multiaddr) -> bool {
        let has = |protocol: &str| address.protocol_stack().any(|spoken| spoken.eq_ignore_ascii_case(protocol));
        let mut wanted = list(&self.addresses).filter(|one| !one.starts_with('!')).peekable();
        let mut unwanted = list(&self.addresses).filter_map(|one| one.strip_prefix('!'));
        (wanted.peek().is_none() || wanted.any(has)) && !unwanted.any(has)
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}

#[cfg(test)]
mod tests {
    use pinrail_ipfs_embedded::PeerId;

    use super::*;

    const TCP: &str = "/ip4/203.0.113.7/tcp/4401";
    const QUIC: &str = "/ip4/203.0.113.7/udp/4401/quic-v1";

    fn kept(addresses: &str, protocols: &str) -> Option<Vec<String>> {
        let filters = Filters { addresses: addresses.to_owned(), protocols: protocols.to_owned() };
        let record = Record {
            id: PeerId::random(),
            addresses: [TCP, QUIC].map(|text| text.parse().expect("a multiaddr")).to_vec(),
        };
        filters.apply(record).map(|record| record.addresses.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn addresses_are_kept_by_their_protocols() {
        let both = || Some(vec![TCP.to_owned(), QUIC.to_owned()]);
        assert_eq!(kept("", ""), both());
        assert_eq!(kept("tcp,quic-v1", ""), both());
        assert_eq!(kept("QUIC-v1", ""), Some(vec![QUIC.to_owned()]));
        assert_eq!(kept("!udp", ""), Some(vec![TCP.to_owned()]));
        assert_eq!(kept("ip4,!quic-v1", ""), Some(vec![TCP.to_owned()]));
        assert_eq!(kept("webrtc-direct", ""), None);
        assert_eq!(kept("unknown,webrtc-direct", ""), Some(vec![]));
    }

    #[test]
    fn a_record_is_kept_for_who_speaks_bitswap() {
        assert!(kept("", "unknown,transport-bitswap").is_some());
        assert!(kept("", "transport-ipfs-gateway-http").is_none());
    }
}
