//! What web3.storage's pinning service promised, promise by promise, in the words and codes of this service.
//!
//! The numbers are those of its `pin.spec.js`; 36 to 40, on how a status follows from the state of several nodes, are
//! kept by the storage's own checks, where each root has one state.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::support::{Answer, Api, PEER, Person, assert_page, assert_pin_status, cid, cid_of};

const ALL: &str = "status=queued,pinning,pinned,failed";
const APP_A: &str = "99986338-1113-4706-8302-4420da6158aa";
const APP_B: &str = "99986338-1113-4706-8302-4420da6158bb";

/// An account with a pin in each status, as the original's fixture has it.
struct Fixture {
    api: Api,
    person: Person,
    stranger: Person,
    /// `ReportDoc.pdf`, `reportdoc.pdf`, `FailedPinning.doc`, `Image.jpeg`, `Image.png`, and `Image.jpg` twice.
    pins: Vec<Value>,
}

impl Fixture {
    async fn new() -> Self {
        let api = Api::new().await;
        let (person, stranger) = (api.pinner().await, api.pinner().await);
        api.add(&stranger, &json!({"cid": cid(90), "name": "Image.jpeg"})).await;
        let mut pins = Vec::new();
        let origins =
            [format!("/ip4/203.0.113.1/tcp/4001/p2p/{PEER}"), format!("/ip4/203.0.113.2/tcp/4001/p2p/{PEER}")];
        let report = json!({"cid": cid(1), "name": "ReportDoc.pdf", "origins": origins});
        pins.push(api.add(&person, &report).await);
        api.pin_all().await;
        pins.push(api.add(&person, &json!({"cid": cid(3), "name": "FailedPinning.doc"})).await);
        api.fail_all().await;
        let began = [
            json!({"cid": cid(2), "name": "reportdoc.pdf", "meta": {"app_id": APP_A}}),
            json!({"cid": cid(4), "name": "Image.jpeg",
                   "meta": {"app_id": APP_B, "region": "europe", "vendor_policy": "1"}}),
            json!({"cid": cid(5), "name": "Image.png", "meta": {"app_id": APP_B}}),
            json!({"cid": cid(6), "name": "Image.jpg"}),
        ];
        for pin in began {
            api.clock.advance(Duration::from_hours(24));
            pins.push(api.add(&person, &pin).await);
        }
        pins.swap(1, 2);
        api.begin_all().await;
        pins.push(api.add(&person, &json!({"cid": cid(7), "name": "Image.jpg"})).await);
        Self { api, person, stranger, pins }
    }

    fn path(&self, index: usize) -> String {
        format!("/pins/{}", self.pins[index]["requestid"].as_str().unwrap())
    }

    async fn list(&self, query: &str, count: u64) -> Vec<Value> {
        assert_page(&self.api.list(&self.person, query).await, count)
    }

    async fn refused_list(&self, query: &str) -> String {
        self.api.get(&self.person, &format!("/pins?{query}")).await.failure(400, "BAD_REQUEST")
    }

    async fn refused_pin(&self, pin: Value) -> String {
        self.api.post(&self.person, "/pins", &pin).await.failure(400, "BAD_REQUEST")
    }

    async fn unauthorized(&self, method: Method, path: &str) {
        let nobody = Person { token: String::new(), ..self.person.clone() };
        self.api.send(&nobody, method, path, "").await.failure(401, "UNAUTHORIZED");
    }
}

fn accepted(answer: &Answer) -> Value {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let status = answer.json();
    assert_pin_status(&status);
    status
}

#[tokio::test]
async fn listing_1_returns_unauthorized_if_no_token() {
    let fixture = Fixture::new().await;
    fixture.unauthorized(Method::GET, "/pins").await;
    fixture.unauthorized(Method::GET, "/pins/1").await;
}

#[tokio::test]
async fn listing_2_validates_limit() {
    let details = Fixture::new().await.refused_list("limit=3.14").await;
    assert!(details.contains("limit") && details.contains("integer"), "{details}");
}

#[tokio::test]
async fn listing_3_validates_that_the_meta_filter_is_an_object() {
    let details = Fixture::new().await.refused_list("meta=%5B%22invalid%22,%22json%22%5D").await;
    assert!(details.contains("meta") && details.contains("array") && details.contains("object"), "{details}");
}

#[tokio::test]
async fn listing_4_validates_that_meta_values_are_strings() {
    let query = "meta=%7B%22app-id%22:%22app-001%22,%22not-a-string-value%22:99%7D";
    let details = Fixture::new().await.refused_list(query).await;
    assert!(details.contains("not-a-string-value") && details.contains("number"), "{details}");
}

#[tokio::test]
async fn listing_5_validates_cids() {
    let query = format!("cid=notAValidCID,{},{}", cid(1), cid(2));
    assert!(Fixture::new().await.refused_list(&query).await.contains("notAValidCID"));
}

#[tokio::test]
async fn listing_6_validates_statuses() {
    let details = Fixture::new().await.refused_list("status=pinning,badStatus").await;
    assert!(details.contains("queued, pinning, pinned or failed"), "{details}");
}

#[tokio::test]
async fn listing_7_validates_match() {
    let details = Fixture::new().await.refused_list("match=badMatch").await;
    assert!(details.contains("exact, iexact, partial or ipartial"), "{details}");
}

#[tokio::test]
async fn listing_8_returns_only_successful_pins_without_filters() {
    Fixture::new().await.list("", 1).await;
}

#[tokio::test]
async fn listing_9_filters_by_cid_for_this_user() {
    let query = format!("cid={},{},{}&{ALL}", cid(1), cid(3), cid(90));
    Fixture::new().await.list(&query, 2).await;
}

#[tokio::test]
async fn listing_10_filters_by_exact_name() {
    Fixture::new().await.list("name=ReportDoc.pdf&status=pinned", 1).await;
}

#[tokio::test]
async fn listing_11_filters_by_part_of_the_name_in_any_case() {
    Fixture::new().await.list(&format!("name=image&match=ipartial&{ALL}"), 4).await;
}

#[tokio::test]
async fn listing_12_filters_by_status() {
    let results = Fixture::new().await.list("status=failed", 1).await;
    assert_eq!(results[0]["pin"]["name"], "FailedPinning.doc");
}

#[tokio::test]
async fn listing_13_filters_by_several_statuses() {
    Fixture::new().await.list("status=queued,pinning", 5).await;
}

#[tokio::test]
async fn listing_14_filters_by_queued() {
    Fixture::new().await.list("status=queued", 1).await;
}

#[tokio::test]
async fn listing_15_filters_those_created_before() {
    let results = Fixture::new().await.list(&format!("before=2021-07-15T00:00:00.000000Z&{ALL}"), 2).await;
    assert_eq!(results.len(), 2);
}

#[tokio::test]
async fn listing_16_filters_those_created_after() {
    let results = Fixture::new().await.list(&format!("after=2021-07-18T00:00:00.000000Z&{ALL}"), 2).await;
    assert_eq!(results.len(), 2);
}

#[tokio::test]
async fn listing_17_limits_the_page_and_counts_all() {
    let results = Fixture::new().await.list(&format!("limit=3&{ALL}"), 7).await;
    assert_eq!(results.len(), 3);
}

#[tokio::test]
async fn listing_18_filters_by_meta() {
    let query = format!("status=pinning&meta=%7B%22app_id%22:%22{APP_B}%22,%22region%22:%22europe%22%7D");
    let results = Fixture::new().await.list(&query, 1).await;
    assert_eq!(results[0]["pin"]["name"], "Image.jpeg");
}

#[tokio::test]
async fn adding_19_receives_the_cid() {
    let fixture = Fixture::new().await;
    let added = accepted(&fixture.api.post(&fixture.person, "/pins", &json!({"cid": cid(20)})).await);
    assert_eq!(added["pin"], json!({"cid": cid(20)}));
}

#[tokio::test]
async fn adding_20_requires_a_cid() {
    assert!(Fixture::new().await.refused_pin(json!({})).await.contains("cid is missing"));
}

#[tokio::test]
async fn adding_21_refuses_an_invalid_cid() {
    assert!(Fixture::new().await.refused_pin(json!({"cid": "abc"})).await.contains("not a CID"));
}

#[tokio::test]
async fn adding_22_refuses_an_unsupported_codec() {
    let fixture = Fixture::new().await;
    let refused = fixture.api.post(&fixture.person, "/pins", &json!({"cid": cid_of(72, 1)})).await;
    refused.failure(400, "UNSUPPORTED_CODEC");
    let refused = fixture.api.post(&fixture.person, "/pins", &json!({"cid": cid_of(0x72, 1)})).await;
    refused.failure(400, "IPNS_NOT_SUPPORTED");
}

#[tokio::test]
async fn adding_23_accepts_the_supported_codecs() {
    let fixture = Fixture::new().await;
    for codec in [0x55, 0x70, 0x71, 0x0129] {
        accepted(&fixture.api.post(&fixture.person, "/pins", &json!({"cid": cid_of(codec, 20)})).await);
    }
}

#[tokio::test]
async fn adding_24_receives_cid_name_origins_and_meta() {
    let fixture = Fixture::new().await;
    let pin = json!({
        "cid": cid(20),
        "name": "PreciousData.pdf",
        "origins": [format!("/ip4/203.0.113.142/tcp/4001/p2p/{PEER}"), format!("/ip4/203.0.113.114/udp/4001/quic/p2p/{PEER}")],
        "meta": {"app_id": APP_A},
    });
    assert_eq!(accepted(&fixture.api.post(&fixture.person, "/pins", &pin).await)["pin"], pin);
}

#[tokio::test]
async fn adding_25_validates_name() {
    let details = Fixture::new().await.refused_pin(json!({"cid": cid(20), "name": 1})).await;
    assert_eq!(details, "name: expected a string, found a number");
}

#[tokio::test]
async fn adding_26_validates_origins() {
    let details = Fixture::new().await.refused_pin(json!({"cid": cid(20), "origins": 1})).await;
    assert_eq!(details, "origins: expected an array, found a number");
}

#[tokio::test]
async fn adding_27_validates_meta() {
    let details = Fixture::new().await.refused_pin(json!({"cid": cid(20), "meta": 1})).await;
    assert_eq!(details, "meta: expected an object, found a number");
}

#[tokio::test]
async fn adding_28_returns_the_pin_request() {
    let fixture = Fixture::new().await;
    let added = accepted(&fixture.api.post(&fixture.person, "/pins", &json!({"cid": cid(20)})).await);
    assert_eq!(added["pin"]["cid"], cid(20).as_str());
    assert_ne!(added["status"], "failed");
}

#[tokio::test]
async fn finding_29_returns_unauthorized_if_no_token() {
    let fixture = Fixture::new().await;
    fixture.unauthorized(Method::GET, &fixture.path(0)).await;
}

#[tokio::test]
async fn finding_30_returns_not_found_if_the_request_does_not_exist() {
    let fixture = Fixture::new().await;
    fixture.api.get(&fixture.person, "/pins/100").await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn finding_31_returns_not_found_if_it_is_somebody_elses() {
    let fixture = Fixture::new().await;
    fixture.api.get(&fixture.stranger, &fixture.path(0)).await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn finding_32_to_35_returns_the_pin_request_with_all_that_was_sent() {
    let fixture = Fixture::new().await;
    for (index, status) in ["pinned", "pinning", "failed", "pinning", "pinning", "pinning", "queued"].iter().enumerate()
    {
        let found = fixture.api.get(&fixture.person, &fixture.path(index)).await.json();
        assert_pin_status(&found);
        assert_eq!(found["status"], *status, "{found}");
        assert_eq!(found["requestid"], fixture.pins[index]["requestid"]);
        assert_eq!(found["pin"], fixture.pins[index]["pin"]);
    }
}

#[tokio::test]
async fn deleting_41_fails_without_a_token() {
    let fixture = Fixture::new().await;
    fixture.unauthorized(Method::DELETE, &fixture.path(0)).await;
}

#[tokio::test]
async fn deleting_42_returns_not_found_if_the_request_does_not_exist() {
    let fixture = Fixture::new().await;
    fixture.api.delete(&fixture.person, "/pins/idThatDoesNotExists").await.failure(404, "NOT_FOUND");
    fixture.api.delete(&fixture.stranger, &fixture.path(0)).await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn deleting_43_and_44_deletes_the_pin_request() {
    let fixture = Fixture::new().await;
    for index in 0..fixture.pins.len() {
        let path = fixture.path(index);
        assert_eq!(fixture.api.get(&fixture.person, &path).await.status, 200);
        assert_eq!(fixture.api.delete(&fixture.person, &path).await.status, 202);
        fixture.api.get(&fixture.person, &path).await.failure(404, "NOT_FOUND");
    }
    fixture.list(ALL, 0).await;
}

#[tokio::test]
async fn replacing_45_a_request_that_does_not_exist_is_not_found() {
    let fixture = Fixture::new().await;
    let pin = json!({"cid": cid(20)});
    fixture.api.post(&fixture.person, "/pins/100", &pin).await.failure(404, "NOT_FOUND");
    fixture.api.post(&fixture.stranger, &fixture.path(0), &pin).await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn replacing_46_deletes_the_old_request_and_adds_the_new_one() {
    let fixture = Fixture::new().await;
    let origins = [format!("/ip4/203.0.113.7/tcp/4001/p2p/{PEER}")];
    let pin = json!({"cid": cid(20), "name": "New.pdf", "origins": origins, "meta": {"app_id": APP_A}});
    let replaced = accepted(&fixture.api.post(&fixture.person, &fixture.path(0), &pin).await);
    assert_eq!(replaced["pin"], pin);
    fixture.api.get(&fixture.person, &fixture.path(0)).await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn replacing_47_with_the_same_cid_updates_the_rest() {
    let fixture = Fixture::new().await;
    let pin = json!({"cid": cid(1), "name": "Renamed.pdf"});
    let replaced = accepted(&fixture.api.post(&fixture.person, &fixture.path(0), &pin).await);
    assert_eq!(replaced["pin"], pin);
}

/// `auth.spec.js`: who may not pin is told so by each operation; being blocked wins over having no access.
#[tokio::test]
async fn auth_without_access_or_blocked() {
    let fixture = Fixture::new().await;
    let api = &fixture.api;
    let newcomer = api.newcomer(pinrail_domain::Limits::STANDARD).await;
    for path in ["/pins", "/pins/UniqueIdOfPinRequest"] {
        let refused = api.post(&newcomer, path, &json!({"cid": cid(1)})).await;
        refused.failure(403, "PINNING_ACCESS_REQUIRED");
    }
    for person in [&newcomer, &fixture.person] {
        api.storage.set_blocked(&person.account, Some("testing"), api.clock.now()).await.unwrap();
        for path in ["/pins", "/pins/UniqueIdOfPinRequest"] {
            api.post(person, path, &json!({"cid": cid(1)})).await.failure(403, "ACCOUNT_BLOCKED");
        }
        api.storage.set_blocked(&person.account, None, api.clock.now()).await.unwrap();
    }
    accepted(&api.post(&fixture.person, "/pins", &json!({"cid": cid(20)})).await);
}

/// `cors.spec.js`: a browser reads the answers of each path, failures too.
#[tokio::test]
async fn cors_on_every_answer() {
    let fixture = Fixture::new().await;
    for path in ["/pins", "/pins/1", "/health/live", "/nowhere"] {
        let answer = fixture.api.get(&fixture.person, path).await;
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
    }
}

/// `db/test/pinning.spec.js`: ten by default, the newest first, every page counted whole, every pair of meta matched.
#[tokio::test]
async fn db_pages_and_matches() {
    let fixture = Fixture::new().await;
    for number in 30..40 {
        fixture.api.add(&fixture.person, &json!({"cid": cid(number)})).await;
    }
    let page = fixture.list(ALL, 17).await;
    assert_eq!(page.len(), 10);
    let created = page.iter().map(|status| status["created"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(created.is_sorted_by(|a, b| a > b));
    fixture.list("name=reportdoc.pdf&match=iexact", 2).await;
    fixture.list("name=reportdoc.pdf", 1).await;
    fixture.list("name=Image&match=partial", 4).await;
    fixture.list("name=image&match=partial", 0).await;
    fixture.list(&format!("{ALL}&meta[app_id]={APP_B}"), 2).await;
    fixture.list(&format!("{ALL}&meta[app_id]={APP_B}&meta[region]=asia"), 0).await;
    assert_page(&fixture.api.list(&fixture.stranger, ALL).await, 1);
}
