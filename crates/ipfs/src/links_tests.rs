//! The links of well-formed, malformed and hostile blocks.

use cid::Cid;
use libipld::Ipld;
use libipld::codec::Codec;
use libipld::pb::{PbLink, PbNode};
use multihash_codetable::{Code, MultihashDigest};
use proptest::prelude::*;
use serde_ipld_dagcbor::codec::DagCborCodec;
use serde_ipld_dagcbor::{from_slice, to_vec};
use std::collections::BTreeMap;

use super::{CBOR, DAG_CBOR, DAG_JSON, DAG_PB, JSON, LinksError, MAX_DEPTH, RAW, links};

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
fn raw_and_the_plain_codecs_have_no_links() {
    for codec in [RAW, CBOR, JSON] {
        assert_eq!(links(codec, b"\x12\x00anything"), Ok(Vec::new()), "{codec:#x}");
    }
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
fn nesting_is_read_as_deep_as_kubo_reads_it_and_costs_no_stack() {
    let (open, null, close) = (&b"\x81\xa1\x60["[..], [0xf6], b"]}");
    let nested = |depth: usize, open: &[u8], middle: &[u8], close: &[u8]| {
        [open.repeat(depth), middle.to_vec(), close.repeat(depth)].concat()
    };
    assert_eq!(links(DAG_CBOR, &nested(MAX_DEPTH, &open[..1], &null, b"")), Ok(Vec::new()), "lists");
    assert_eq!(links(DAG_CBOR, &nested(MAX_DEPTH, &open[1..3], &null, b"")), Ok(Vec::new()), "maps");
    assert_eq!(links(DAG_JSON, &nested(MAX_DEPTH, &open[3..], b"", &close[..1])), Ok(Vec::new()), "lists of dag-json");
    for depth in [MAX_DEPTH + 1, 6_000, 2 << 20] {
        let hostile = [
            (DAG_CBOR, nested(depth, &open[..1], &null, b"")),
            (DAG_CBOR, nested(depth, &open[1..3], &null, b"")),
            (DAG_CBOR, nested(depth, &[0xc1], &null, b"")),
            (DAG_CBOR, nested(depth, &[0x9f], b"", &[0xff])),
            (DAG_JSON, nested(depth, b"[", b"", b"")),
            (DAG_JSON, nested(depth, b"[", b"", b"]")),
            (DAG_JSON, nested(depth, br#"{"":"#, b"1", b"}")),
            (DAG_PB, vec![0x12; depth]),
        ];
        for (codec, block) in hostile {
            let answer = links(codec, &block);
            assert!(matches!(answer, Err(LinksError::Malformed(_))), "{codec:#x}, {depth}: {answer:?}");
        }
    }
}

#[test]
fn a_dag_pb_name_may_have_any_bytes() {
    let link = cid(RAW, "named");
    let mut inner = vec![0x0a, 36];
    inner.extend(link.to_bytes());
    inner.extend([0x12, 2, 0xff, 0xfe, 0x18, 5]);
    let block = [&[0x12, u8::try_from(inner.len()).expect("short")][..], &inner, &[0x0a, 1, 0]].concat();
    assert_eq!(links(DAG_PB, &block), Ok(vec![link]));
}

#[test]
fn dag_cbor_that_is_not_canonical_is_read() {
    let link = cid(RAW, "odd");
    let tagged = [&[0xd8, 0x2a, 0x58, 37, 0][..], &link.to_bytes()].concat();
    let in_pieces = [&[0xd8, 0x2a, 0x5f, 0x41, 0, 0x58, 36][..], &link.to_bytes(), &[0xff]].concat();
    for (head, behind) in [
        (&b"\x82\xf7"[..], &b""[..]),
        (b"\x9f", b"\xff"),
        (b"\xbf\x61a", b"\xff"),
        (b"\xa2\x61b\xf9\x7e\x00\x61a", b""),
        (b"\x82\xfb\x7f\xf0\0\0\0\0\0\0", b""),
        (b"\x82\x1b\0\0\0\0\0\0\0\x01", b""),
        (b"\x82\x62\xff\xfe", b""),
        (b"\xa1\x7f\x61a\x61b\xff", b""),
        (b"\x82\xc1\x01", b""),
    ] {
        for one in [&tagged, &in_pieces] {
            assert_eq!(links(DAG_CBOR, &[head, one, behind].concat()), Ok(vec![link]), "{head:x?}");
        }
    }
}

#[test]
fn dag_cbor_that_kubo_refuses_is_refused() {
    let link = [&[0x58, 37, 0][..], &cid(RAW, "odd").to_bytes()].concat();
    let tagged = |tag: u8| [&[0xd8, tag][..], &link].concat();
    for block in [
        &b"\xa2\x61a\x01\x61a\x02"[..],
        b"\xbf\x61a\x01\x7f\x61a\xff\x02\xff",
        b"\xa1\x01\x02",
        b"\xbf\x61a\xff",
        b"\xff",
        b"\xf8\x20",
        b"\x1c",
        b"\xd8\x2a\x61a",
        b"\xd8\x2a\x41\x01",
        b"\xd8\x2a\x40",
        b"\x7f\x41a\xff",
        &tagged(43),
        &[&[0xd8, 0x2a][..], &tagged(42)].concat(),
        &[&[0xd8, 0x2a, 0x58, 38][..], &link[2..], &[0]].concat(),
    ] {
        let answer = links(DAG_CBOR, block);
        assert!(matches!(answer, Err(LinksError::Malformed(_))), "{block:x?}: {answer:?}");
    }
}

#[test]
fn dag_json_that_is_not_canonical_is_read() {
    let link = cid(DAG_JSON, "odd");
    let one = format!(r#"{{"/":"{link}"}}"#);
    for (head, behind) in [
        (r#"[{"/":{"bytes":"AA=="}},"#, "]"),
        (r#"[{"/":{"bytes":"AAA="}},"#, "]"),
        (r#"{"/":{"bytes":"AA","link":"#, "}}"),
        (r#"{"/":{"a":1,"bytes":"AA","link":"#, "}}"),
        (r#"{"bytes":"not base64","\u00fc\n\ud83d\ude00":"#, "}"),
        ("[-1.5e-3, 0, true, false, null, \"\",\n\t", ", ]"),
        ("", " \n\0"),
    ] {
        assert_eq!(links(DAG_JSON, format!("{head}{one}{behind}").as_bytes()), Ok(vec![link]), "{head}");
    }
    let escaped = one.replacen('/', "\\u002f", 1);
    assert_eq!(links(DAG_JSON, escaped.as_bytes()), Ok(vec![link]));
    let not_text = [&b"[\"\xff\","[..], one.as_bytes(), b"]"].concat();
    assert_eq!(links(DAG_JSON, &not_text), Ok(vec![link]));
}

#[test]
fn dag_json_that_kubo_refuses_is_refused() {
    for block in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"/":"bafy"}"#,
        r#"{"/":{"bytes":"A"}}"#,
        r#"{"/":{"bytes":"A==="}}"#,
        r#"{"/":{"bytes":"-_"}}"#,
        r#"{"a" 1}"#,
        r"{a:1}",
        "[1 2]",
        "[,1]",
        "[1]]",
        "[1}",
        "01",
        "-",
        "1e999",
        "nul",
        "\"\u{1}\"",
        r#""\x""#,
        r#""\u12""#,
        "",
        " ",
    ] {
        let answer = links(DAG_JSON, block.as_bytes());
        assert!(matches!(answer, Err(LinksError::Malformed(_))), "{block}: {answer:?}");
    }
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let map_of_many = [0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(links(DAG_CBOR, &map_of_many).is_err());
}

fn sorted(mut links: Vec<Cid>) -> Vec<Cid> {
    links.sort();
    links
}

/// The links that libipld finds in a value, sorted.
fn libipld_links(value: &Ipld) -> Vec<Cid> {
    let mut found = Vec::new();
    value.references(&mut found);
    sorted(found.iter().map(|link| Cid::try_from(link.to_bytes()).expect("a CID")).collect())
}

/// Any value that both codecs write and read.
fn arbitrary_ipld() -> impl Strategy<Value = Ipld> {
    let link = "[a-z]{1,4}"
        .prop_map(|text| Ipld::Link(libipld::Cid::try_from(cid(DAG_CBOR, &text).to_bytes()).expect("a CID")));
    let leaf = prop_oneof![
        Just(Ipld::Null),
        any::<bool>().prop_map(Ipld::Bool),
        any::<i64>().prop_map(|number| Ipld::Integer(number.into())),
        any::<f32>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| Ipld::Float(number.into())),
        any::<String>().prop_map(Ipld::String),
        any::<Vec<u8>>().prop_map(Ipld::Bytes),
        link,
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Ipld::List),
            prop::collection::btree_map("[a-z\"\\\\]{0,3}", inner, 0..5).prop_map(Ipld::Map),
        ]
    })
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
    fn links_are_those_that_libipld_finds(value in arbitrary_ipld()) {
        for (codec, bytes) in [
            (DAG_CBOR, libipld::cbor::DagCborCodec.encode(&value).expect("it encodes")),
            (DAG_JSON, libipld::json::DagJsonCodec.encode(&value).expect("it encodes")),
        ] {
            prop_assert_eq!(sorted(links(codec, &bytes).expect("well-formed")), libipld_links(&value));
        }
    }

    #[test]
    fn links_of_damaged_blocks_are_those_that_libipld_finds(value in arbitrary_ipld(), at: prop::sample::Index, byte: u8) {
        let damaged = |mut bytes: Vec<u8>| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        };
        let cbor = damaged(libipld::cbor::DagCborCodec.encode(&value).expect("it encodes"));
        let json = damaged(libipld::json::DagJsonCodec.encode(&value).expect("it encodes"));
        let read = libipld::cbor::DagCborCodec.decode::<Ipld>(&cbor);
        // It stops reading behind the first value, where more may be.
        for (codec, bytes, read) in [(DAG_CBOR, &cbor, read), (DAG_JSON, &json, libipld::json::DagJsonCodec.decode(&json))] {
            if let (Ok(theirs), Ok(ours)) = (read, links(codec, bytes)) {
                prop_assert_eq!(sorted(ours), libipld_links(&theirs));
            }
        }
    }

    #[test]
    fn dag_pb_links_are_those_that_libipld_finds(
        names in prop::collection::vec(prop::option::of("[a-z]{0,8}"), 0..8),
        data: Option<Vec<u8>>,
        damage: Option<(prop::sample::Index, u8)>,
    ) {
        let link = |(index, name): (usize, Option<String>)| PbLink {
            cid: libipld::Cid::try_from(cid(RAW, &index.to_string()).to_bytes()).expect("a CID"),
            name,
            size: (index % 2 == 0).then_some(index as u64),
        };
        let links = names.into_iter().enumerate().map(link).collect();
        let mut bytes = PbNode { links, data: data.map(Into::into) }.into_bytes().into_vec();
        if let Some((at, byte)) = damage.filter(|_| !bytes.is_empty()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let (Ok(theirs), Ok(ours)) = (super::read_with_libipld(&bytes), super::dag_pb::links(&bytes)) {
            prop_assert_eq!(ours, theirs);
        } else {
            prop_assert!(damage.is_some());
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
