//! `POST /pins` and `GET /pins/{requestid}`: what is accepted, echoed and told.

use serde_json::{Value, json};

use super::support::{Api, PEER, assert_pin_status, cid, cid_of};
use pinrail_http::Settings;

#[tokio::test]
async fn a_pin_is_echoed_as_it_was_sent() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let origin = format!("/ip4/203.0.113.142/tcp/4001/p2p/{PEER}");
    let pin =
        json!({"cid": cid(1), "name": " Ü\u{1F980}ber.pdf ", "origins": [origin], "meta": {"app_id": "a", "": "ε"}});
    let added = api.add(&person, &pin).await;
    assert_pin_status(&added);
    assert_eq!(added["pin"], pin);
    assert_eq!(added["status"], "queued");
    assert_eq!(added["created"], "2021-07-14T19:27:14.000Z");
    assert_eq!(added["delegates"], json!([format!("/ip4/127.0.0.1/tcp/4401/p2p/{PEER}")]));

    let found = api.get(&person, &format!("/pins/{}", added["requestid"].as_str().unwrap())).await;
    assert_eq!(found.status, 200);
    assert_eq!(found.json()["pin"], pin);
    assert_eq!(found.json()["delegates"], added["delegates"]);
}

#[tokio::test]
async fn absent_and_null_fields_are_left_out() {
    let api = Api::new().await;
    let person = api.pinner().await;
    for pin in [
        json!({"cid": cid(1)}),
        json!({"cid": cid(1), "name": null, "origins": null, "meta": null}),
        json!({"cid": cid(1), "origins": [], "meta": {}, "unknown": {"to": ["us"]}}),
    ] {
        let added = api.add(&person, &pin).await;
        assert_eq!(added["pin"], json!({"cid": cid(1)}), "{pin}");
        assert_pin_status(&added);
    }
}

#[tokio::test]
async fn an_empty_name_is_echoed_too() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let pin = json!({"cid": cid(1), "name": ""});
    let added = api.add(&person, &pin).await;
    let found = api.get(&person, &format!("/pins/{}", added["requestid"].as_str().unwrap())).await;
    assert_eq!((&added["pin"], &found.json()["pin"]), (&pin, &pin));
}

#[tokio::test]
async fn every_base_that_kubo_reads_is_echoed_and_found() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let parsed = cid(7).parse::<cid::Cid>().unwrap();
    let mut bases = Vec::new();
    for base in "0fFbBcCvVtTkKzZmMuU\u{1F680}".chars() {
        let base = multibase::Base::from_code(base).unwrap();
        let text = parsed.to_string_of_base(base).unwrap();
        let added = api.add(&person, &json!({"cid": text})).await;
        assert_eq!(added["pin"]["cid"], text.as_str());
        bases.push(text);
    }
    let found = api.list(&person, &format!("cid={}&status=queued&limit=100", cid(7))).await;
    assert_eq!(found["count"], bases.len());
    let v1 = cid_of(0x70, 8);
    let v0 = cid::Cid::new_v0(*v1.parse::<cid::Cid>().unwrap().hash()).unwrap().to_string();
    api.add(&person, &json!({"cid": v0})).await;
    let found = api.list(&person, &format!("cid={v1}&status=queued")).await;
    assert_eq!(found["results"][0]["pin"]["cid"], v0.as_str());
}

#[tokio::test]
async fn the_four_codecs_are_accepted_and_others_refused_by_name() {
    let api = Api::new().await;
    let person = api.pinner().await;
    for codec in [0x55, 0x70, 0x71, 0x0129] {
        api.add(&person, &json!({"cid": cid_of(codec, 1)})).await;
    }
    for codec in [0x00, 0x51, 0x72 + 1, 0x0200, 0x90, 0xf1] {
        let refused = api.post(&person, "/pins", &json!({"cid": cid_of(codec, 1)})).await;
        let details = refused.failure(400, "UNSUPPORTED_CODEC");
        for told in [format!("{codec:#x}"), "raw".into(), "dag-pb".into(), "dag-cbor".into(), "dag-json".into()] {
            assert!(details.contains(&told), "{details}");
        }
    }
    let refused = api.post(&person, "/pins", &json!({"cid": cid_of(0x72, 1)})).await;
    assert!(refused.failure(400, "IPNS_NOT_SUPPORTED").contains("IPNS"));
}

#[tokio::test]
async fn a_cid_that_holds_its_content_is_pinned_at_once() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let identity = |codec| cid::Cid::new_v1(codec, multihash::Multihash::wrap(0, b"content").unwrap()).to_string();
    for text in ["bafkqaaa".to_owned(), identity(0x55)] {
        let added = api.add(&person, &json!({"cid": text})).await;
        assert_eq!(added["status"], "pinned", "{added}");
    }
    let may_link = api.add(&person, &json!({"cid": identity(0x70)})).await;
    assert_eq!(may_link["status"], "queued", "another codec may link to blocks: {may_link}");
}

#[tokio::test]
async fn cids_that_cannot_be_held_are_refused() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let long = [&[1, 0x55, 0, 70][..], &[0; 70]].concat();
    let longer = [&[1, 0x55, 0, 0x80, 2][..], &[0; 256]].concat();
    let parsed = cid(7).parse::<cid::Cid>().unwrap();
    for (bytes, told) in [(long, "at most 64"), (longer, "at most 168")] {
        let text = multibase::encode(multibase::Base::Base32Lower, bytes);
        let refused = api.post(&person, "/pins", &json!({"cid": text})).await;
        let details = refused.failure(400, "UNSUPPORTED_CID");
        assert!(details.contains(told), "{details}");
    }
    for base in ['7', '9'] {
        let text = parsed.to_string_of_base(multibase::Base::from_code(base).unwrap()).unwrap();
        let refused = api.post(&person, "/pins", &json!({"cid": text})).await;
        assert!(refused.failure(400, "UNSUPPORTED_CID").contains("base32"));
    }
}

#[tokio::test]
async fn a_status_is_told_with_its_details() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let added = api.add(&person, &json!({"cid": cid(1)})).await;
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    let now = async || api.get(&person, &path).await.json();

    let queued = now().await;
    assert_eq!((&queued["status"], &queued["info"]["queue_position"]), (&json!("queued"), &json!("1")));
    api.begin_all().await;
    assert_eq!(now().await["status"], "pinning");

    let added = api.add(&person, &json!({"cid": cid(2)})).await;
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    api.fail_all().await;
    let failed = api.get(&person, &path).await.json();
    assert_eq!((&failed["status"], &failed["info"]["failure_reason"]), (&json!("failed"), &json!("NO_PROVIDER_FOUND")));
    assert!(failed["info"]["status_details"].as_str().unwrap().contains("finding a provider"), "{failed}");
    assert_pin_status(&failed);

    let again = api.add(&person, &json!({"cid": cid(2)})).await;
    assert_eq!(again["status"], "queued", "nobody inherits a failure: {again}");
    api.pin_all().await;
    let pinned = api.get(&person, &path).await.json();
    assert_eq!((&pinned["status"], &pinned["info"]["dag_size"]), (&json!("pinned"), &json!("1000")));
    let third = api.add(&person, &json!({"cid": cid(2)})).await;
    assert_eq!(third["status"], "pinned", "a pinned root is pinned in the answer: {third}");
}

#[tokio::test]
async fn the_same_cid_twice_is_two_requests() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let first = api.add(&person, &json!({"cid": cid(1)})).await;
    let second = api.add(&person, &json!({"cid": cid(1)})).await;
    assert_ne!(first["requestid"], second["requestid"]);
    assert_ne!(first["created"], second["created"]);
}

#[tokio::test]
async fn of_the_origins_the_first_twenty_usable_ones_are_kept() {
    let api = Api::with(Settings::default()).await;
    let person = api.pinner().await;
    let public = |number: usize| format!("/ip4/8.8.4.{number}/tcp/4001/p2p/{PEER}");
    let unusable = [
        "/ip4/192.168.1.7/tcp/4001/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "/ip6/fe80::1/tcp/4001/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "/dns4/localhost/tcp/4001/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "/ip4/8.8.8.8/tcp/4001",
        "not a multiaddr",
        "",
    ];
    let unknown_transport = format!("/dns4/example.com/tcp/443/carrier-pigeon/p2p/{PEER}");
    let sent = unusable.map(str::to_owned).into_iter().chain([unknown_transport.clone(), unknown_transport.clone()]);
    let sent = sent.chain((0..80).map(public)).collect::<Vec<_>>();
    let added = api.add(&person, &json!({"cid": cid(1), "origins": sent})).await;
    let kept = [unknown_transport].into_iter().chain((0..19).map(public)).collect::<Vec<_>>();
    assert_eq!(added["pin"]["origins"], json!(kept));

    let too_many = (0..101).map(public).collect::<Vec<_>>();
    let refused = api.post(&person, "/pins", &json!({"cid": cid(1), "origins": too_many})).await;
    assert_eq!(refused.failure(400, "BAD_REQUEST"), "origins has 101 items, wanted at most 100");
    let only_private = api.add(&person, &json!({"cid": cid(1), "origins": unusable})).await;
    assert_eq!(only_private["pin"].get("origins"), None);
}

#[tokio::test]
async fn an_origin_that_nobody_can_dial_is_passed_over_where_private_ones_are_kept() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let origins = ["/ip4/0.0.0.0/tcp/4001", "/ip6/::/udp/4001/quic-v1", "/ip4/10.0.0.7/tcp/4001"];
    let origins = origins.map(|start| format!("{start}/p2p/{PEER}"));
    let added = api.add(&person, &json!({"cid": cid(1), "origins": origins})).await;
    assert_eq!(added["pin"]["origins"], json!([origins[2]]));
}

#[tokio::test]
async fn before_any_node_ran_nothing_is_kept() {
    let api = Api::without_node(Settings::default()).await;
    let person = api.pinner().await;
    let refused = api.post(&person, "/pins", &json!({"cid": cid(1)})).await;
    refused.failure(503, "NO_IPFS_NODE");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(api.list(&person, "status=queued,pinning,pinned,failed").await, json!({"count": 0, "results": []}));
}

#[tokio::test]
async fn created_rises_in_milliseconds_in_each_account() {
    let api = Api::new().await;
    let (one, other) = (api.pinner().await, api.pinner().await);
    let mut created = Vec::<String>::new();
    for number in 0..20 {
        let added = api.add(&one, &json!({"cid": cid(number)})).await;
        created.push(added["created"].as_str().unwrap().to_owned());
    }
    assert!(created.is_sorted_by(|a, b| a < b), "{created:?}");
    assert!(created.iter().all(|time| time.len() == "2021-07-14T19:27:14.000Z".len()));
    let others: Value = api.add(&other, &json!({"cid": cid(1)})).await;
    assert_eq!(others["created"], created[0].as_str(), "accounts do not share their times");
}
