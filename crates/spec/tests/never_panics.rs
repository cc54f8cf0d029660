//! Whatever clients send, reading it ends in a value or an error, and what was read keeps its limits.

use pinrail_spec::{Cid, Multiaddr, Pin, PinFilter, Timestamp};
use proptest::prelude::*;

const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

/// Queries that look like filters more often than random text does.
fn queries() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("cid".to_owned()),
        Just("name".to_owned()),
        Just("match".to_owned()),
        Just("status".to_owned()),
        Just("before".to_owned()),
        Just("after".to_owned()),
        Just("limit".to_owned()),
        Just("meta".to_owned()),
        "meta(\\[|%5B)[a-z%+]{0,3}(\\]|%5D)?",
        ".{0,4}",
    ];
    let value = prop_oneof![
        Just(CID.to_owned()),
        Just("queued,pinned".to_owned()),
        Just("ipartial".to_owned()),
        Just("2020-07-27T17:32:28.070Z".to_owned()),
        "[0-9]{0,5}",
        "\\{\"[a-z]{0,2}\":\"[a-z]{0,2}\"\\}",
        "map\\[[a-z:]{0,5}\\]",
        "([a-z%+,]|%[0-9A-F]{2}){0,8}",
        ".{0,8}",
    ];
    prop::collection::vec((name, value), 0..6).prop_map(|pairs| {
        let pairs = pairs.into_iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    })
}

/// Bodies that look like pins more often than random bytes do.
fn bodies() -> impl Strategy<Value = String> {
    let key = prop_oneof![Just("cid"), Just("name"), Just("origins"), Just("meta"), Just("x")];
    let value = prop_oneof![
        Just(format!("\"{CID}\"")),
        Just("null".to_owned()),
        Just("[\"/ip4/1.2.3.4/tcp/1/p2p/QmPeer\", \"\"]".to_owned()),
        Just("{\"a\":\"b\"}".to_owned()),
        "\"[a-z\\\\]{0,300}\"",
        "[0-9.eE+-]{1,4}",
        "\\PC{0,6}",
    ];
    prop::collection::vec((key, value), 0..5).prop_map(|fields| {
        let fields = fields.into_iter().map(|(key, value)| format!("\"{key}\":{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    })
}

proptest! {
    #[test]
    fn queries_are_read_or_refused(query in queries(), literal: bool) {
        if let Ok(filter) = PinFilter::parse(&query, literal) {
            prop_assert!((1..=1000).contains(&filter.limit));
            prop_assert!(!filter.statuses.is_empty());
            prop_assert!(filter.name.is_none_or(|name| (1..=255).contains(&name.text.chars().count())));
        }
    }

    #[test]
    fn any_text_is_a_query_or_refused(query in "\\PC{0,40}") {
        let _ = PinFilter::parse(&query, false);
    }

    #[test]
    fn bodies_are_read_or_refused(body in bodies()) {
        if let Ok(pin) = Pin::parse(body.as_bytes(), true) {
            prop_assert!(pin.origins.len() <= 20);
            let written = serde_json::to_vec(&pin).unwrap();
            prop_assert_eq!(Pin::parse(&written, true).unwrap(), pin);
        }
    }

    #[test]
    fn any_bytes_are_a_body_or_refused(body in prop::collection::vec(any::<u8>(), 0..60)) {
        prop_assert!(Pin::parse(&body, true).is_err());
    }

    #[test]
    fn texts_are_cids_and_addresses_or_refused(text in "\\PC{0,60}") {
        let _ = Cid::parse(&text);
        let _ = Cid::parse_any_codec(&text);
        let _ = Multiaddr::parse(&text).map(|address| address.is_public());
        let _ = (Timestamp::parse_floor(&text), Timestamp::parse_ceil(&text));
    }

    #[test]
    fn binary_cids_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..180), start in 0..3_u8) {
        let bytes = [&[1, 0x55, 0x12, 0x20][..usize::from(start)], &bytes].concat();
        for base in [multibase::Base::Base32Lower, multibase::Base::Base58Btc, multibase::Base::Base16Upper] {
            let text = multibase::encode(base, &bytes);
            if let Ok(cid) = Cid::parse(&text) {
                prop_assert_eq!(cid.inner().to_bytes(), bytes.clone());
            }
        }
    }

    #[test]
    fn times_are_read_back_as_they_are_written(millis in 0..4_102_444_800_000_i64) {
        let time = Timestamp::from_millis(millis);
        prop_assert_eq!(Timestamp::parse_floor(&time.to_string()), Some(time));
        prop_assert_eq!(Timestamp::parse_ceil(&time.to_string()), Some(time));
    }
}
