//! Records of `/routing/v1`: who provides a block and where, as lines or in one object (IPIP-337, IPIP-417, IPIP-484).

use cid::Cid;
use libp2p::{Multiaddr, PeerId};
use serde::Deserialize;
use serde_json::Value;

use crate::dht::{PeerInfo, address_of};

/// Records of one answer that are read.
pub const MAX_RECORDS: usize = 100;
/// A longer line is left out.
const MAX_LINE_BYTES: usize = 64 << 10;
/// The codec of a peer id that is written as a CID.
const LIBP2P_KEY: u64 = 0x72;

/// A record of schema `peer`, of the older `bitswap`, or of any other that names a peer and its addresses.
#[derive(Debug, Deserialize)]
struct Record {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Addrs", default)]
    addresses: Option<Vec<Value>>,
}

/// Answers in one JSON object; each record is read on its own, so that one that is not understood harms no other.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(rename = "Providers", alias = "Peers", default)]
    records: Option<Vec<Value>>,
}

/// The peers of an `application/json` answer; none if it is no such answer.
pub fn read_json(body: &[u8], usable: &dyn Fn(&Multiaddr) -> bool) -> Option<Vec<PeerInfo>> {
    let answer = serde_json::from_slice::<Answer>(body).ok()?;
    let records = answer.records.unwrap_or_default().into_iter().take(MAX_RECORDS);
    Some(records.filter_map(|record| read(serde_json::from_value(record).ok()?, usable)).collect())
}

/// The peer of one line of an `application/x-ndjson` answer.
pub fn read_line(line: &[u8], usable: &dyn Fn(&Multiaddr) -> bool) -> Option<PeerInfo> {
    read(serde_json::from_slice(line).ok()?, usable)
}

fn read(record: Record, usable: &dyn Fn(&Multiaddr) -> bool) -> Option<PeerInfo> {
    let mut peer = PeerInfo { id: read_peer_id(&record.id)?, addresses: Vec::new() };
    let addresses = record.addresses.unwrap_or_default();
    let addresses = addresses.iter().filter_map(|address| address.as_str()?.parse().ok());
    let addresses = addresses.filter_map(|address| address_of(&peer.id, address)).filter(usable).collect::<Vec<_>>();
    peer.extend(addresses);
    Some(peer)
}

/// A peer id in either of its spellings: a multihash in base58, or a CID of its key.
fn read_peer_id(text: &str) -> Option<PeerId> {
    let of_cid = |cid: Cid| (cid.codec() == LIBP2P_KEY).then(|| PeerId::from_multihash(*cid.hash()).ok()).flatten();
    text.parse().ok().or_else(|| text.parse().ok().and_then(of_cid))
}

/// Cuts what comes in pieces into lines, of which long ones are left out.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// The lines that a further piece completes.
    pub fn push(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (part, is_complete) = part.strip_suffix(b"\n").map_or((part, false), |part| (part, true));
            if self.rest.len() + part.len() > MAX_LINE_BYTES {
                self.is_too_long = true;
                self.rest = Vec::new();
            }
            if !self.is_too_long {
                self.rest.extend(part);
            }
            if is_complete {
                lines.extend(self.end());
            }
        }
        lines
    }

    /// The last line, which need not end in a newline.
    pub fn end(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.rest);
        (!std::mem::take(&mut self.is_too_long) && !line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8";

    fn any_address(_: &Multiaddr) -> bool {
        true
    }

    fn line(text: &str) -> Option<(String, Vec<String>)> {
        let peer = read_line(text.as_bytes(), &any_address)?;
        Some((peer.id.to_string(), peer.addresses.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn records_of_any_schema_that_name_a_peer_are_read() {
        let expected = Some((ID.to_owned(), vec!["/ip4/8.8.8.8/tcp/1".to_owned()]));
        for schema in [
            r#""Schema":"peer","Protocols":["transport-bitswap"],"#,
            r#""Schema":"bitswap","Protocol":"transport-bitswap","#,
            r#""Schema":"of tomorrow","Extra":{"a":[1]},"#,
            "",
        ] {
            let plain = format!(r#"{{{schema}"ID":"{ID}","Addrs":["/ip4/8.8.8.8/tcp/1"]}}"#);
            assert_eq!(line(&plain), expected, "{plain}");
        }
        let cid = Cid::new_v1(LIBP2P_KEY, *ID.parse::<PeerId>().expect("a peer id").as_ref());
        let mixed = format!(
            r#"{{"ID":"{cid}","Addrs":["/of/tomorrow",7,"/ip4/8.8.8.8/tcp/1/p2p/{ID}","/ip4/8.8.8.8/tcp/1"]}}"#
        );
        assert_eq!(line(&mixed), expected);
        assert_eq!(line(&format!(r#"{{"ID":"{ID}"}}"#)), Some((ID.to_owned(), Vec::new())));
        assert_eq!(line(&format!(r#"{{"ID":"{ID}","Addrs":null}}"#)), Some((ID.to_owned(), Vec::new())));
        for junk in ["", "null", "[]", r#"{"ID":7}"#, r#"{"ID":"bafkqaaa"}"#, r#"{"Addrs":[]}"#, "{", "<html>"] {
            assert_eq!(line(junk), None, "{junk}");
        }
    }

    #[test]
    fn one_bad_record_of_an_object_harms_no_other() {
        let body = format!(r#"{{"Providers":[{{"Schema":7}},null,{{"ID":"{ID}"}}]}}"#);
        assert_eq!(read_json(body.as_bytes(), &any_address).expect("it is read").len(), 1);
        assert_eq!(read_json(br#"{"Providers":null}"#, &any_address), Some(Vec::new()));
        assert_eq!(read_json(b"{}", &any_address), Some(Vec::new()));
        assert_eq!(read_json(b"junk", &any_address), None);
        let many = vec![format!(r#"{{"ID":"{ID}"}}"#); 300].join(",");
        let body = format!(r#"{{"Peers":[{many}]}}"#);
        assert_eq!(read_json(body.as_bytes(), &any_address).expect("it is read").len(), MAX_RECORDS);
    }

    #[test]
    fn long_lines_are_left_out_and_the_others_are_not() {
        let mut lines = Lines::default();
        let long = vec![b'x'; 1 << 20];
        let mut read = lines.push(b"one\ntw");
        read.extend(lines.push(b"o\n\n"));
        read.extend(long.chunks(1_000).flat_map(|piece| lines.push(piece)));
        assert!(lines.rest.capacity() <= 2 * MAX_LINE_BYTES);
        read.extend(lines.push(b"\nthree"));
        read.extend(lines.end());
        assert_eq!(read, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        assert_eq!(lines.end(), None);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[a\n]{0,60}", size in 1..9_usize) {
            let mut lines = Lines::default();
            let mut read = text.as_bytes().chunks(size).flat_map(|piece| lines.push(piece)).collect::<Vec<_>>();
            read.extend(lines.end());
            let expected = text.split('\n').filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec());
            prop_assert_eq!(read, expected.collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _any_answer = (read_json(&bytes, &any_address), read_line(&bytes, &any_address));
        }
    }
}
