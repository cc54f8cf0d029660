//! The links of well-formed, malformed and hostile blocks.

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use proptest::prelude::*;
use serde_ipld_dagcbor::codec::DagCborCodec;
use serde_ipld_dagcbor::{from_slice, to_vec};
use std::collections::BTreeMap;

use super::{DAG_CBOR, DAG_JSON, DAG_PB, LinksError, RAW, links};

fn cid(codec: u64, content: &str) -> Cid {
    Cid::new_v1(codec, Code::Sha2_256.digest(content.as_bytes()))
}

/// A CID of version 1 whose digest has `size` bytes.
fn long_cid(size: u8) -> Vec<u8> {
    let mut bytes = vec![1, 0x55, 0];
    if size >= 0x80 {
        bytes.extend([size, 1]);
    } else {
        bytes.push(size);
    }
    bytes.resize(bytes.len() + usize::from(size), 7);
    bytes
}

fn pb_node(link: &[u8]) -> Vec<u8> {
    let length = |size: usize| u8::try_from(size).expect("a short link");
    let mut inner = vec![0x0a, length(link.len())];
    if link.len() >= 0x80 {
        inner.push(1);
    }
    inner.extend(link);
    let mut node = vec![0x12, length(inner.len())];
    if inner.len() >= 0x80 {
        node.push(1);
    }
    node.extend(inner);
    node
}

#[test]
fn raw_has_no_links() {
    assert_eq!(links(RAW, b"\x12\x00anything"), Ok(Vec::new()));
}

#[test]
fn another_codec_is_named() {
    assert_eq!(links(0x85, b""), Err(LinksError::UnsupportedCodec(0x85)));
}

#[test]
fn dag_pb_links_keep_order_and_repetition() {
    let (first, second) = (cid(RAW, "a"), cid(DAG_PB, "b"));
    let block = [&first, &second, &first].map(|link| pb_node(&link.to_bytes())).concat();
    assert_eq!(links(DAG_PB, &block), Ok(vec![first, second, first]));
}

#[test]
fn dag_pb_of_version_0_links_to_dag_pb() {
    let link = Cid::new_v0(Code::Sha2_256.digest(b"old")).expect("sha2-256");
    assert_eq!(links(DAG_PB, &pb_node(&link.to_bytes())), Ok(vec![link]));
}

#[test]
fn dag_json_links_are_found_and_bytes_are_not() {
    let link = cid(DAG_CBOR, "json");
    let block = format!(r#"{{"a":[1,{{"/":"{link}"}}],"b":{{"/":{{"bytes":"AAEC"}}}}}}"#);
    assert_eq!(links(DAG_JSON, block.as_bytes()), Ok(vec![link]));
}

#[test]
fn malformed_blocks_are_refused() {
    let truncated_string = [0x5b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for (codec, bytes) in [
        (DAG_PB, &b"\xff\xff\xff"[..]),
        (DAG_PB, b"\x12\x7f\x0a"),
        (DAG_CBOR, &truncated_string),
        (DAG_CBOR, b"\x82\x01"),
        (DAG_CBOR, b"\x01\x01"),
        (DAG_CBOR, b""),
        (DAG_JSON, b"{\"/\":"),
        (DAG_JSON, br#"{"/":"not a cid"}"#),
    ] {
        let answer = links(codec, bytes);
        assert!(matches!(answer, Err(LinksError::Malformed(_))), "{codec:#x} {bytes:x?}: {answer:?}");
    }
}

#[test]
fn a_link_with_a_long_digest_says_so() {
    for size in [65, 128] {
        let link = long_cid(size);
        let mut cbor = vec![0x81, 0xd8, 0x2a, 0x58, u8::try_from(link.len() + 1).expect("short"), 0];
        cbor.extend(&link);
        let json = format!(r#"{{"/":"{}"}}"#, libipld::multibase::encode(libipld::multibase::Base::Base32Lower, &link));
        for (codec, bytes) in [(DAG_PB, pb_node(&link)), (DAG_CBOR, cbor), (DAG_JSON, json.into_bytes())] {
            assert_eq!(links(codec, &bytes), Err(LinksError::DigestTooLong(size.into())), "codec {codec:#x}");
        }
    }
}

#[test]
fn a_digest_of_64_bytes_is_a_link() {
    let link = Cid::try_from(long_cid(64)).expect("64 bytes fit");
    assert_eq!(links(DAG_PB, &pb_node(&link.to_bytes())), Ok(vec![link]));
}

#[test]
fn hostile_nesting_neither_aborts_nor_counts_as_links() {
    for depth in [6_000, 2 << 20] {
        let mut arrays = vec![0x81; depth];
        arrays.push(0xf6);
        assert_eq!(links(DAG_CBOR, &arrays), Ok(Vec::new()), "{depth} arrays");
        let mut tags = vec![0xc1; depth];
        tags.push(0xf6);
        assert_eq!(links(DAG_CBOR, &tags), Ok(Vec::new()), "{depth} tags");
        let unclosed = links(DAG_JSON, &vec![b'['; depth]);
        assert!(matches!(unclosed, Err(LinksError::Malformed(_))), "{depth} lists: {unclosed:?}");
        let nested_fields = links(DAG_PB, &vec![0x12; depth]);
        assert!(nested_fields.is_err(), "{depth} fields");
    }
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let map_of_many = [0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(links(DAG_CBOR, &map_of_many).is_err());
}

/// Values with links, as another dag-cbor library writes them.
fn arbitrary_value() -> impl Strategy<Value = (Vec<u8>, Vec<Cid>)> {
    proptest::collection::btree_map("[a-z]{1,4}", proptest::collection::vec("[a-z]{1,8}", 0..5), 0..6).prop_map(
        |names: BTreeMap<String, Vec<String>>| {
            let value: BTreeMap<_, Vec<Cid>> = names
                .into_iter()
                .map(|(key, words)| (key, words.iter().map(|word| cid(DAG_CBOR, word)).collect()))
                .collect();
            let bytes = to_vec(&value).expect("it encodes");
            let mut found = value.into_values().flatten().collect::<Vec<_>>();
            found.sort();
            (bytes, found)
        },
    )
}

proptest! {
    #[test]
    fn dag_cbor_links_are_those_that_another_library_wrote((bytes, expected) in arbitrary_value()) {
        let mut found = links(DAG_CBOR, &bytes).expect("well-formed");
        found.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn what_another_library_reads_is_read_here(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if from_slice::<ipld_core::ipld::Ipld>(&bytes).is_ok() {
            let found = links(DAG_CBOR, &bytes);
            let theirs = <DagCborCodec as ipld_core::codec::Links>::links(&bytes).expect("it was read").collect::<Vec<_>>();
            prop_assert_eq!(found, Ok(theirs));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(codec in prop_oneof![Just(DAG_PB), Just(DAG_CBOR), Just(DAG_JSON)], bytes: Vec<u8>) {
        let _any_answer = links(codec, &bytes);
    }

    #[test]
    fn no_damage_to_a_node_makes_it_panic(at in 0..200_usize, byte: u8) {
        let mut block = ["a", "b", "c", "d"].map(|name| pb_node(&cid(RAW, name).to_bytes())).concat();
        let index = at % block.len();
        block[index] = byte;
        let _any_answer = links(DAG_PB, &block);
    }
}
