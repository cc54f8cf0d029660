//! Whatever is sent, the answer is a failure that says what was wrong, and nothing is kept.

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use pinrail_http::BODY_LIMIT;
use serde_json::json;

use super::support::{Api, Person, assert_page, cid};

async fn service() -> (Api, Person) {
    let api = Api::new().await;
    let person = api.pinner().await;
    (api, person)
}

async fn assert_nothing_kept(api: &Api, person: &Person) {
    assert_page(&api.list(person, "status=queued,pinning,pinned,failed").await, 0);
}

#[tokio::test]
async fn bodies_that_are_no_pins() {
    let (api, person) = service().await;
    let cid = cid(1);
    for (body, told) in [
        (String::new(), "empty"),
        ("   ".into(), "empty"),
        ("{".into(), "not a JSON object"),
        (format!("{{\"cid\":\"{cid}\"}} trailing"), "trailing"),
        ("[]".into(), "expected an object, found an array"),
        ("\"cid\"".into(), "expected an object, found a string"),
        ("null".into(), "expected an object, found null"),
        ("{}".into(), "cid is missing"),
        (r#"{"cid":null}"#.into(), "cid is missing"),
        (r#"{"cid":7}"#.into(), "cid: expected a string, found a number"),
        (r#"{"cid":["a"]}"#.into(), "cid: expected a string, found an array"),
        (format!(r#"{{"cid":"{cid}","cid":"{cid}"}}"#), r#"the body: the key "cid" is given twice, wanted it once"#),
        (format!(r#"{{"cid":"{cid}","meta":{{"a":"1","a":"2"}}}}"#), r#"the key "a" is given twice"#),
        (format!(r#"{{"cid":"{cid}","x":{{"a":1,"a":2}}}}"#), r#"the key "a" is given twice"#),
        (format!(r#"{{"cid":"{cid}","name":1}}"#), "name: expected a string, found a number"),
        (format!(r#"{{"cid":"{cid}","name":"a\u0000b"}}"#), "U+0000"),
        (format!(r#"{{"cid":"{cid}","name":"\ud800"}}"#), "not a JSON object"),
        (format!(r#"{{"cid":"{cid}","origins":1}}"#), "origins: expected an array, found a number"),
        (format!(r#"{{"cid":"{cid}","origins":"/ip4/1.2.3.4"}}"#), "origins: expected an array, found a string"),
        (format!(r#"{{"cid":"{cid}","origins":["",1]}}"#), "origins[1]: expected a string, found a number"),
        (format!(r#"{{"cid":"{cid}","meta":1}}"#), "meta: expected an object, found a number"),
        (format!(r#"{{"cid":"{cid}","meta":[]}}"#), "meta: expected an object, found an array"),
        (format!(r#"{{"cid":"{cid}","meta":{{"a":1}}}}"#), r#"meta["a"]: expected a string, found a number"#),
        (format!(r#"{{"cid":"{cid}","meta":{{"a":null}}}}"#), r#"meta["a"]: expected a string, found null"#),
        (format!(r#"{{"cid":"{cid}","meta":{{"a":{{}}}}}}"#), r#"meta["a"]: expected a string, found an object"#),
        (format!(r#"{{"cid":"{cid}","meta":{{"a":"\u0000"}}}}"#), "U+0000"),
        (format!(r#"{{"cid":"{cid}","meta":{{"\u0000":"a"}}}}"#), "U+0000"),
        ("[".repeat(20_000), "not a JSON object"),
        (format!(r#"{{"cid":"{cid}","x":{}}}"#, "[".repeat(20_000)), "not a JSON object"),
    ] {
        let refused = api.send(&person, Method::POST, "/pins", body.clone()).await;
        let details = refused.failure(400, "BAD_REQUEST");
        assert!(details.contains(told), "{body:.80}: {details}");
    }
    assert_nothing_kept(&api, &person).await;
}

#[tokio::test]
async fn bodies_that_are_no_text() {
    let (api, person) = service().await;
    for body in [&b"\xff\xfe{\0}"[..], b"\xef\xbb\xbf{}", b"{\"cid\":\"\xff\"}", b"\x1f\x8b\x08\0\0"] {
        let request = Request::post("/pins").header("authorization", format!("Bearer {}", person.token));
        let refused = api.call(request.body(Body::from(Bytes::copy_from_slice(body))).unwrap()).await;
        refused.failure(400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn cids_that_are_no_cids() {
    let (api, person) = service().await;
    let good = cid(1);
    let trailing = multibase::encode(
        multibase::Base::Base32Lower,
        [good.parse::<cid::Cid>().unwrap().to_bytes(), vec![0]].concat(),
    );
    for text in [
        "",
        "abc",
        "notAValidCID",
        " ",
        "/ipfs/bafkqaaa",
        "Qm",
        "QmCIDToBePinned",
        "b",
        "bafkqaa",
        "z",
        "bafkqaaa ",
        " bafkqaaa",
        "bafkqaaa\u{0}",
        "1220",
        "f1220",
        &good[..good.len() - 1],
        &trailing,
        "\u{1F980}",
    ] {
        let refused = api.post(&person, "/pins", &json!({"cid": text})).await;
        let details = refused.failure(400, "BAD_REQUEST");
        assert!(details.starts_with("cid: not a CID"), "{text}: {details}");
    }
    assert_nothing_kept(&api, &person).await;
}

#[tokio::test]
async fn roots_whose_hash_nobody_here_could_check() {
    let (api, person) = service().await;
    for (code, length, name) in [(0x11, 20, "sha1"), (0xd5, 16, "md5"), (0x7777, 32, "multihash 0x7777")] {
        let multihash = multihash::Multihash::<64>::wrap(code, &vec![7; length]).unwrap();
        let text = cid::Cid::new_v1(0x55, multihash).to_string();
        let refused = api.post(&person, "/pins", &json!({"cid": text})).await;
        let details = refused.failure(400, "UNSUPPORTED_CID");
        assert!(details.starts_with(&format!("cid: the CID is hashed with {name}, ")), "{details}");
        assert!(details.contains("wanted sha2-256, "), "{details}");
        assert_page(&api.list(&person, &format!("cid={text}")).await, 0);
    }
    assert_nothing_kept(&api, &person).await;
}

#[tokio::test]
async fn names_have_255_characters_at_most() {
    let (api, person) = service().await;
    for letter in ["a", "ü", "\u{1F980}"] {
        let longest = letter.repeat(255);
        let added = api.add(&person, &json!({"cid": cid(1), "name": longest})).await;
        assert_eq!(added["pin"]["name"], longest.as_str());
        let refused = api.post(&person, "/pins", &json!({"cid": cid(1), "name": letter.repeat(256)})).await;
        assert_eq!(refused.failure(400, "BAD_REQUEST"), "name has 256 characters, wanted at most 255");
    }
}

#[tokio::test]
async fn meta_has_64_pairs_and_4096_bytes_at_most() {
    let (api, person) = service().await;
    let meta = |count: usize| (0..count).map(|n| (n.to_string(), json!("v"))).collect::<serde_json::Map<_, _>>();
    let added = api.add(&person, &json!({"cid": cid(1), "meta": meta(64)})).await;
    assert_eq!(added["pin"]["meta"].as_object().unwrap().len(), 64);
    let refused = api.post(&person, "/pins", &json!({"cid": cid(1), "meta": meta(65)})).await;
    assert_eq!(refused.failure(400, "BAD_REQUEST"), "meta has 65 pairs, wanted at most 64");
    let long =
        |length: usize| json!({"cid": cid(1), "meta": {"a": "v".repeat(4_000), "b": "ü".repeat((length - 4_002) / 2)}});
    api.add(&person, &long(4_096)).await;
    let refused = api.post(&person, "/pins", &long(4_098)).await;
    assert_eq!(refused.failure(400, "BAD_REQUEST"), "meta has 4098 bytes of keys and values, wanted at most 4096");
    let long_key = json!({"k".repeat(256): "v"});
    let refused = api.post(&person, "/pins", &json!({"cid": cid(1), "meta": long_key})).await;
    assert!(refused.failure(400, "BAD_REQUEST").contains("256 characters"));
}

#[tokio::test]
async fn more_pairs_of_meta_than_anybody_looks_for_at_once() {
    let (api, person) = service().await;
    let query = |count: usize| (0..count).map(|n| format!("meta[k{n}]=v")).collect::<Vec<_>>().join("&");
    assert_page(&api.list(&person, &query(16)).await, 0);
    let refused = api.get(&person, &format!("/pins?{}", query(17))).await;
    assert_eq!(refused.failure(400, "BAD_REQUEST"), "meta has more than 16 pairs, wanted at most 16");
}

#[tokio::test]
async fn a_byte_order_mark_is_passed_over() {
    let (api, person) = service().await;
    let body = format!("\u{FEFF}{}", json!({"cid": cid(1)}));
    assert_eq!(api.send(&person, Method::POST, "/pins", body).await.status, 202);
    let doubled = format!("\u{FEFF}\u{FEFF}{}", json!({"cid": cid(1)}));
    api.send(&person, Method::POST, "/pins", doubled).await.failure(400, "BAD_REQUEST");
}

#[tokio::test]
async fn a_body_that_is_encoded_is_refused_with_its_encoding() {
    let (api, person) = service().await;
    for (encoding, status) in [("gzip", 415), ("br, gzip", 415), ("identity", 202)] {
        let request = Request::post("/pins").header("authorization", format!("Bearer {}", person.token));
        let request = request.header("content-encoding", encoding);
        let answer = api.call(request.body(Body::from(json!({"cid": cid(1)}).to_string())).unwrap()).await;
        assert_eq!(answer.status, status, "{encoding}");
        if status == 415 {
            assert!(answer.failure(415, "UNSUPPORTED_MEDIA_TYPE").contains(encoding));
        }
    }
}

#[tokio::test]
async fn bodies_over_the_limit() {
    let (api, person) = service().await;
    let pad = |length: usize| {
        let start = format!(r#"{{"cid":"{}","unknown":{{"a":""#, cid(1));
        let end = r#""}}"#;
        format!("{start}{}{end}", "x".repeat(length - start.len() - end.len()))
    };
    let fits = api.send(&person, Method::POST, "/pins", pad(BODY_LIMIT)).await;
    assert_eq!(fits.status, 202, "{}", fits.text());
    for path in ["/pins", "/pins/0190d9a4-7c5e-7cc3-98c4-dc0c0c07398f"] {
        for length in [BODY_LIMIT + 1, 10 * BODY_LIMIT] {
            let refused = api.send(&person, Method::POST, path, pad(length)).await;
            assert!(refused.failure(413, "BODY_TOO_LARGE").contains("65536"));
        }
    }
    assert_page(&api.list(&person, "status=queued").await, 1);
}

#[tokio::test]
async fn queries_that_are_no_filters() {
    let (api, person) = service().await;
    let name = "n".repeat(256);
    for (query, told) in [
        ("limit=0", "limit is 0, wanted 1 to 1000"),
        ("limit=1001", "limit is 1001, wanted 1 to 1000"),
        ("limit=-1", "limit is -1, wanted 1 to 1000"),
        ("limit=99999999999999999999999999", "wanted 1 to 1000"),
        ("limit=3.14", "limit is \"3.14\", wanted an integer from 1 to 1000"),
        ("limit=ten", "wanted an integer from 1 to 1000"),
        ("limit=1e2", "wanted an integer from 1 to 1000"),
        ("limit=+5", "wanted an integer from 1 to 1000"),
        ("limit=5&limit=6", "limit is given twice"),
        ("status=pinning,badStatus", "status is \"badStatus\", wanted queued, pinning, pinned or failed"),
        ("status=Pinned", "wanted queued, pinning, pinned or failed"),
        ("match=badMatch", "match is \"badMatch\", wanted exact, iexact, partial or ipartial"),
        ("cid=notAValidCID,bafkqaaa", "cid \"notAValidCID\": not a CID"),
        ("before=yesterday", "before is \"yesterday\", wanted an RFC 3339 date-time"),
        ("after=2021-07-01", "after is \"2021-07-01\", wanted an RFC 3339 date-time"),
        ("before=1626290834", "wanted an RFC 3339 date-time"),
        ("before=10000-01-01T00:00:00Z", "wanted an RFC 3339 date-time"),
        ("meta=[%22invalid%22,%22json%22]", "meta: expected an object, found an array"),
        ("meta=%7B%22app%22:%22a%22,%22n%22:99%7D", "meta[\"n\"]: expected a string, found a number"),
        ("meta=%7B%22a%22:%221%22,%22a%22:%222%22%7D", r#"meta: the key "a" is given twice, wanted it once"#),
        ("meta=nonsense", "meta is not JSON"),
        ("meta=map[k:v]", "map[k:v]"),
        ("meta[a]=1&meta[a]=2", "given twice"),
        ("name=%", "percent-encoding"),
        ("name=%zz", "percent-encoding"),
        ("name=%ff", "UTF-8"),
        ("meta[%zz]=a", "\"meta[%zz]\": malformed percent-encoding"),
        ("meta%5B%ff%5D=a", "UTF-8"),
        ("status%5B%ff%5D=queued", "UTF-8"),
        ("cid%zz=bafkqaaa", "\"cid%zz\": malformed percent-encoding"),
        ("cid[a]=bafkqaaa", r#"the parameter "cid[a]" is not understood, wanted cid, cid[] or cid[0]"#),
        ("cid%5Ba%5D=bafkqaaa", r#""cid[a]" is not understood"#),
        ("Status=queued", r#""Status" is not understood, wanted status, status[] or status[0]"#),
        ("name[]=a", r#""name[]" is not understood, wanted name"#),
        ("limit[0]=5", r#""limit[0]" is not understood, wanted limit"#),
        ("before.x=2021-07-01T00:00:00Z", r#""before.x" is not understood, wanted before"#),
        ("meta.app=a", r#""meta.app" is not understood, wanted meta or meta[key]"#),
        ("cid[0]=notAValidCID", "cid \"notAValidCID\": not a CID"),
        ("name=a%00b", "U+0000"),
        ("meta[a]=%00", "U+0000"),
        (&format!("name={name}"), "name has 256 characters, wanted at most 255"),
    ] {
        let refused = api.get(&person, &format!("/pins?{query}")).await;
        let details = refused.failure(400, "BAD_REQUEST");
        assert!(details.contains(told), "{query}: {details}");
    }
}

#[tokio::test]
async fn any_content_type_will_do() {
    let (api, person) = service().await;
    for content_type in
        [None, Some("application/json"), Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("x")]
    {
        let mut request = Request::post("/pins").header("authorization", format!("Bearer {}", person.token));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let added = api.call(request.body(Body::from(json!({"cid": cid(1)}).to_string())).unwrap()).await;
        assert_eq!(added.status, 202, "{content_type:?}: {}", added.text());
    }
}
