//! The blocks that the IPLD project publishes for tests of codecs, the invalid ones too.
//!
//! `data/codec_fixtures.json` holds the blocks of github.com/ipld/codec-fixtures (MIT or Apache-2.0) as hexadecimal.

use std::collections::BTreeMap;

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use pinrail_ipfs::{LinksError, links};
use serde_json::Value;

const FIXTURES: &str = include_str!("data/codec_fixtures.json");

fn fixtures() -> Value {
    serde_json::from_str(FIXTURES).expect("JSON")
}

fn text<'a>(fixture: &'a Value, field: &str) -> &'a str {
    fixture[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {fixture}"))
}

fn block(fixture: &Value) -> Vec<u8> {
    let hex = text(fixture, "hex");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

#[test]
fn every_published_block_is_read_and_has_the_same_links_in_every_codec() {
    let fixtures = fixtures();
    let valid = fixtures["positive"].as_array().expect("a list");
    assert_eq!(valid.len(), 179);
    let mut by_name = BTreeMap::<&str, Vec<Cid>>::new();
    for fixture in valid {
        let (name, block) = (text(fixture, "fixture"), block(fixture));
        let cid: Cid = text(fixture, "cid").parse().expect("a CID");
        assert_eq!(*cid.hash(), Code::Sha2_256.digest(&block), "{name}: the block is not what its CID says");
        assert_eq!(fixture["codec"], cid.codec(), "{name}");
        let mut found =
            links(cid.codec(), &block).unwrap_or_else(|error| panic!("{name}, {:#x}: {error}", cid.codec()));
        found.sort();
        assert_eq!(found.is_empty(), text(fixture, "links") == "none", "{name}, {:#x}: {found:?}", cid.codec());
        let same = by_name.entry(name).or_insert_with(|| found.clone());
        assert_eq!(*same, found, "{name} in another codec");
    }
}

#[test]
fn every_invalid_published_block_is_refused() {
    let fixtures = fixtures();
    let invalid = fixtures["negative"].as_object().expect("an object");
    let mut seen = 0;
    for (codec, fixtures) in invalid {
        let code = match codec.as_str() {
            "dag-pb" => 0x70,
            "dag-cbor" => 0x71,
            "dag-json" => 0x0129,
            other => panic!("{other} has no code here"),
        };
        for fixture in fixtures.as_array().expect("a list") {
            let answer = links(code, &block(fixture));
            assert!(matches!(answer, Err(LinksError::Malformed(_))), "{codec}, {}: {answer:?}", fixture["name"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 11);
}
