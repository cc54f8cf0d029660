//! The filters of `GET /pins`, one by one and together.

use pinrail_http::Settings;
use serde_json::json;

use super::support::{Api, Person, assert_page, cid, cid_of};

const ALL: &str = "status=queued,pinning,pinned,failed";

async fn count(api: &Api, person: &Person, query: &str) -> u64 {
    api.list(person, query).await["count"].as_u64().unwrap()
}

async fn named(names: &[&str]) -> (Api, Person) {
    let api = Api::new().await;
    let person = api.pinner().await;
    for name in names {
        api.add(&person, &json!({"cid": cid(1), "name": name})).await;
    }
    (api, person)
}

#[tokio::test]
async fn without_a_status_only_pinned_ones_unless_a_name_is_given() {
    let (api, person) = named(&["a", "b"]).await;
    assert_eq!(count(&api, &person, "").await, 0);
    assert_eq!(count(&api, &person, &format!("cid={}", cid(1))).await, 0);
    assert_eq!(count(&api, &person, "name=a").await, 1);
    assert_eq!(count(&api, &person, "name=a&status=pinned").await, 0);
    assert_eq!(count(&api, &person, "name=a&status=").await, 1);
    api.pin_all().await;
    assert_eq!(count(&api, &person, "").await, 2);
}

#[tokio::test]
async fn the_literal_rule_can_be_set() {
    let api = Api::with(Settings { literal_status_filter: true, ..Settings::default() }).await;
    let person = api.pinner().await;
    api.add(&person, &json!({"cid": cid(1), "name": "a"})).await;
    assert_eq!(count(&api, &person, "name=a").await, 0);
    api.pin_all().await;
    assert_eq!(count(&api, &person, "name=a").await, 1);
}

#[tokio::test]
async fn lists_come_with_commas_encoded_commas_or_repeated() {
    let api = Api::new().await;
    let person = api.pinner().await;
    for number in 0..4 {
        api.add(&person, &json!({"cid": cid(number)})).await;
    }
    let (a, b) = (cid(0), cid(1));
    for query in [
        format!("{ALL}&cid={a},{b}"),
        format!("{ALL}&cid={a}%2C{b}"),
        format!("{ALL}&cid={a}&cid={b}"),
        format!("{ALL}&cid={a},,{b},&cid="),
        format!("status=queued&status=failed&cid={a},{b},{a}"),
        format!("status=queued%2Cpinned&cid={a},{b}"),
        format!("?&&status=,queued&cid={a},{b}"),
    ] {
        assert_eq!(count(&api, &person, &query).await, 2, "{query}");
    }
}

#[tokio::test]
async fn a_cid_is_found_by_codec_and_multihash() {
    let api = Api::new().await;
    let person = api.pinner().await;
    api.add(&person, &json!({"cid": cid_of(0x55, 1)})).await;
    api.add(&person, &json!({"cid": cid_of(0x70, 1)})).await;
    assert_eq!(count(&api, &person, &format!("{ALL}&cid={}", cid_of(0x70, 1))).await, 1);
    let parsed = cid_of(0x55, 1).parse::<cid::Cid>().unwrap();
    let base8 = parsed.to_string_of_base(multibase::Base::from_code('7').unwrap()).unwrap();
    assert_eq!(count(&api, &person, &format!("{ALL}&cid={base8}")).await, 1, "any base will do to look something up");
    for codec in [0x72, 0x51, 0x71] {
        let query = format!("{ALL}&cid={}", cid_of(codec, 1));
        assert_eq!(count(&api, &person, &query).await, 0, "what was never pinned is found nowhere");
    }
    let many = |count: u32| (0..count).map(|number| cid_of(0x55, number)).collect::<Vec<_>>().join(",");
    assert_eq!(count(&api, &person, &format!("{ALL}&cid={}", many(100))).await, 1);
    let refused = api.get(&person, &format!("/pins?{ALL}&cid={}", many(101))).await;
    assert!(refused.failure(400, "BAD_REQUEST").contains("100"));
}

#[tokio::test]
async fn names_match_in_four_ways() {
    let (api, person) = named(&["PreciousData.pdf", "preciousdata.pdf", "data", "Other"]).await;
    for (query, matches) in [
        ("name=PreciousData.pdf", 1),
        ("name=PreciousData.pdf&match=exact", 1),
        ("name=PreciousData.pdf&match=", 1),
        ("name=PRECIOUSDATA.PDF&match=iexact", 2),
        ("name=Data&match=partial", 1),
        ("name=data&match=partial", 2),
        ("name=DATA&match=ipartial", 3),
        ("name=precious&match=exact", 0),
        ("name=precious&match=iexact", 0),
        ("match=ipartial&status=queued", 4),
    ] {
        assert_eq!(count(&api, &person, query).await, matches, "{query}");
    }
}

#[tokio::test]
async fn wildcards_mean_themselves() {
    let (api, person) =
        named(&["100% sure", "100x sure", "snake_case", "snakeXcase", "back\\slash", "star*", "a?b"]).await;
    for (query, matches) in [
        ("name=100%25&match=partial", 1),
        ("name=%25&match=ipartial", 1),
        ("name=_&match=partial", 1),
        ("name=snake_case&match=iexact", 1),
        ("name=%5C&match=partial", 1),
        ("name=*&match=ipartial", 1),
        ("name=?&match=partial", 1),
        ("name=100%25+sure", 1),
        ("name=100%25%20sure", 1),
    ] {
        assert_eq!(count(&api, &person, query).await, matches, "{query}");
    }
}

fn percent(encoded: String, digits: &[u8]) -> String {
    encoded + "%" + std::str::from_utf8(digits).unwrap()
}

#[tokio::test]
async fn case_is_folded_as_unicode_says() {
    let (api, person) = named(&["ΟΔΟΣ", "Straße", "İstanbul", "ÜBER"]).await;
    for (name, matching, matches) in [
        ("οδος", "iexact", 1),
        ("οδοσ", "iexact", 1),
        ("ΔΟΣ", "ipartial", 1),
        ("δος", "ipartial", 1),
        ("STRASSE", "iexact", 1),
        ("über", "iexact", 1),
        ("über", "exact", 0),
        ("BER", "ipartial", 1),
    ] {
        let encoded = multibase::Base::Base16Lower.encode(name).as_bytes().chunks(2).fold(String::new(), percent);
        assert_eq!(count(&api, &person, &format!("name={encoded}&match={matching}")).await, matches, "{name}");
    }
}

#[tokio::test]
async fn meta_is_json_or_brackets_and_every_pair_has_to_match() {
    let api = Api::new().await;
    let person = api.pinner().await;
    api.add(&person, &json!({"cid": cid(1), "meta": {"app": "one", "region": "eu", "a b": "c&d=e"}})).await;
    api.add(&person, &json!({"cid": cid(1), "meta": {"app": "one", "region": "us"}})).await;
    api.add(&person, &json!({"cid": cid(1), "meta": {"app": "two"}})).await;
    for (query, matches) in [
        (r#"meta={"app":"one"}"#, 2),
        ("meta=%7B%22app%22%3A%22one%22%2C%22region%22%3A%22eu%22%7D", 1),
        (r#"meta={"app":"one","region":"xx"}"#, 0),
        ("meta[app]=one", 2),
        ("meta%5Bapp%5D=one&meta%5Bregion%5D=us", 1),
        ("meta[app]=one&meta[region]=", 2),
        ("meta[app]=ONE", 0),
        ("meta[missing]=one", 0),
        ("meta[a+b]=c%26d%3De", 1),
        ("meta=", 3),
        ("meta={}", 3),
        ("meta[app]=", 3),
        (r#"meta={"app":"one"}&meta[region]=eu"#, 1),
    ] {
        let query = query.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
        assert_eq!(count(&api, &person, &format!("status=queued&{query}")).await, matches, "{query}");
    }
}

#[tokio::test]
async fn lists_may_have_brackets_as_axios_writes_them() {
    let api = Api::new().await;
    let person = api.pinner().await;
    for number in 1..=3 {
        api.add(&person, &json!({"cid": cid(number)})).await;
    }
    let (one, two) = (cid(1), cid(2));
    for (query, matches) in [
        (format!("status[]=queued&cid[]={one}&cid[]={two}"), 2),
        (format!("status%5B0%5D=queued&cid%5B0%5D={one}"), 1),
        (format!("status=queued&cid[0]={one}&cid[1]={two}&cid={one}"), 2),
        ("status[]=failed&status[]=queued".to_owned(), 3),
        ("status[]=failed".to_owned(), 0),
        ("status[]=queued&cid[]=".to_owned(), 3),
        ("status[]=queued&unknown[]=1&cids[]=1".to_owned(), 3),
    ] {
        assert_eq!(count(&api, &person, &query).await, matches, "{query}");
    }
}

#[tokio::test]
async fn a_map_printed_by_go_is_refused_and_named() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let refused = api.get(&person, "/pins?meta=map[app:one]").await;
    let details = refused.failure(400, "BAD_REQUEST");
    assert!(details.contains("map[k:v]") && details.contains("JSON"), "{details}");
}

#[tokio::test]
async fn everything_that_is_given_has_to_match() {
    let api = Api::new().await;
    let person = api.pinner().await;
    for number in 0..4 {
        let pin = json!({"cid": cid(number % 2), "name": "same", "meta": {"n": (number % 2).to_string()}});
        api.add(&person, &pin).await;
    }
    let query = format!("name=same&meta[n]=1&cid={}&status=queued&limit=1", cid(1));
    assert_page(&api.list(&person, &query).await, 2);
    let query = format!("name=same&meta[n]=0&cid={}", cid(1));
    assert_page(&api.list(&person, &query).await, 0);
}

#[tokio::test]
async fn what_the_document_does_not_know_is_ignored() {
    let (api, person) = named(&["a"]).await;
    for unknown in
        ["offset=3", "x=%zz", "Statuses=none", "", "=b", "meta_x=1", "%zz=a", "%ff", "na%me=b", "metadata%=b"]
    {
        let query = format!("name=a&{unknown}");
        assert_eq!(count(&api, &person, &query).await, 1, "{query}");
    }
}
