//! `GET /pins`: the order, the pages, the count.

use std::time::Duration;

use serde_json::json;

use super::support::{Api, Person, assert_page, cid};

const ALL: &str = "status=queued,pinning,pinned,failed";

async fn add_many(api: &Api, person: &Person, count: u32) {
    for number in 0..count {
        api.add(person, &json!({"cid": cid(number), "name": format!("pin {number}")})).await;
        api.clock.advance(Duration::from_millis(u64::from(number % 3)));
    }
}

#[tokio::test]
async fn the_newest_come_first_ten_at_a_time() {
    let api = Api::new().await;
    let person = api.pinner().await;
    add_many(&api, &person, 12).await;
    let results = assert_page(&api.list(&person, ALL).await, 12);
    let names = results.iter().map(|status| status["pin"]["name"].as_str().unwrap()).collect::<Vec<_>>();
    let wanted = (2..12).rev().map(|number| format!("pin {number}")).collect::<Vec<_>>();
    assert_eq!(names, wanted);
}

#[tokio::test]
async fn a_walk_as_kubo_does_it_sees_each_pin_once() {
    let api = Api::new().await;
    let person = api.pinner().await;
    add_many(&api, &person, 47).await;
    api.pin_all().await;
    let mut seen = Vec::new();
    let mut query = "limit=10&status=pinned".to_owned();
    loop {
        let page = api.list(&person, &query).await;
        let left = 47 - seen.len() as u64;
        let results = assert_page(&page, left);
        seen.extend(results.iter().map(|status| status["pin"]["name"].as_str().unwrap().to_owned()));
        if page["count"] == results.len() {
            break;
        }
        let last = results.last().unwrap()["created"].as_str().unwrap();
        query = format!("before={}&limit=10&status=pinned", last.replace(':', "%3A"));
    }
    assert_eq!(seen, (0..47).rev().map(|number| format!("pin {number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn before_and_after_are_exclusive_and_counted() {
    let api = Api::new().await;
    let person = api.pinner().await;
    add_many(&api, &person, 5).await;
    let results = assert_page(&api.list(&person, ALL).await, 5);
    let created = |index: usize| results[index]["created"].as_str().unwrap();
    let older = assert_page(&api.list(&person, &format!("{ALL}&before={}", created(1))).await, 3);
    assert_eq!(older, results[2..]);
    let newer = assert_page(&api.list(&person, &format!("{ALL}&after={}", created(2))).await, 2);
    assert_eq!(newer, results[..2]);
    let between = format!("{ALL}&after={}&before={}&limit=1", created(4), created(1));
    assert_eq!(assert_page(&api.list(&person, &between).await, 2), results[2..3]);
    // A microsecond later than a pin is after it, and a microsecond before the next one is before that.
    let finer = created(2).replace('Z', "001Z");
    assert_page(&api.list(&person, &format!("{ALL}&before={finer}")).await, 3);
    assert_page(&api.list(&person, &format!("{ALL}&after={finer}")).await, 2);
    let zoned = created(2).replace('Z', "%2B00:00");
    assert_page(&api.list(&person, &format!("{ALL}&after={zoned}")).await, 2);
    let unencoded = created(2).replace('Z', "+00:00");
    assert_page(&api.list(&person, &format!("{ALL}&after={unencoded}")).await, 2);
}

#[tokio::test]
async fn moments_are_read_in_every_form_of_rfc_3339() {
    let api = Api::new().await;
    let person = api.pinner().await;
    add_many(&api, &person, 1).await;
    for later in [
        "2021-07-14t19:27:14.001z",
        "2021-07-14T21:57:14.001%2B02:30",
        "2021-07-14T19:27:14.000000001Z",
        "2021-07-14T19:27:60Z",
        "9999-12-31T23:59:59-23:59",
    ] {
        assert_page(&api.list(&person, &format!("{ALL}&before={later}")).await, 1);
        assert_page(&api.list(&person, &format!("{ALL}&after={later}")).await, 0);
    }
}

#[tokio::test]
async fn a_page_has_as_many_as_were_asked_for() {
    let api = Api::new().await;
    let person = api.pinner().await;
    add_many(&api, &person, 12).await;
    for (limit, length) in [("1", 1), ("3", 3), ("1000", 12), ("", 10)] {
        let page = api.list(&person, &format!("{ALL}&limit={limit}")).await;
        assert_eq!(assert_page(&page, 12).len(), length, "limit={limit}");
    }
}

#[tokio::test]
async fn an_empty_service_is_counted_as_kubo_does_it() {
    let api = Api::new().await;
    let person = api.pinner().await;
    for status in ["queued", "pinning", "pinned", "failed"] {
        assert_page(&api.list(&person, &format!("limit=1&status={status}")).await, 0);
    }
}

#[tokio::test]
async fn a_status_that_changed_is_listed_and_counted_as_it_is() {
    let api = Api::new().await;
    let person = api.pinner().await;
    add_many(&api, &person, 3).await;
    assert_page(&api.list(&person, "").await, 0);
    api.pin_all().await;
    assert_page(&api.list(&person, "").await, 3);
    assert_page(&api.list(&person, "status=queued").await, 0);
}
