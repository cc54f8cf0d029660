//! Two processes on one database: what one of them does, the other tells at once, whatever it told just before.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Api, Person, assert_page, cid};

const ALL: &str = "status=queued,pinning,pinned,failed";

/// Two processes, and a pin of a person that both have been asked for more than once.
async fn two_that_know_a_pin() -> (Api, Api, Person, String) {
    let here = Api::new().await;
    let there = here.another_process().await;
    let person = here.pinner().await;
    let added = here.add(&person, &json!({"cid": cid(1)})).await;
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    for api in [&here, &there, &here, &there] {
        assert_eq!(api.get(&person, &path).await.json()["status"], "queued");
        assert_page(&api.list(&person, ALL).await, 1);
    }
    (here, there, person, path)
}

fn details(status: &Value) -> String {
    status["info"]["status_details"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_revocation_counts_at_once() {
    let (here, there, person, path) = two_that_know_a_pin().await;
    let other = here.token(person.account, pinrail_domain::Scopes::pins(), None).await;
    assert_eq!(here.get(&other, &path).await.status, 200);
    there.storage.revoke_token(&person.id, there.clock.now()).await.unwrap();
    for api in [&here, &there] {
        api.get(&person, &path).await.failure(401, "UNAUTHORIZED");
        api.get(&person, &format!("/pins?{ALL}")).await.failure(401, "UNAUTHORIZED");
        assert_eq!(api.get(&other, &path).await.status, 200, "another token of the account is as good as before");
    }
}

#[tokio::test]
async fn what_one_adds_the_other_lists() {
    let (here, there, person, _) = two_that_know_a_pin().await;
    for number in 2..20 {
        let (adding, listing) = if number % 2 == 0 { (&here, &there) } else { (&there, &here) };
        let added = adding.add(&person, &json!({"cid": cid(number)})).await;
        let page = listing.list(&person, ALL).await;
        assert_eq!(page["count"], number);
        assert_eq!(page["results"][0]["requestid"], added["requestid"]);
        assert_page(&adding.list(&person, ALL).await, number.into());
    }
}

#[tokio::test]
async fn what_one_settles_the_other_tells() {
    let (here, there, person, path) = two_that_know_a_pin().await;
    there.begin_all().await;
    assert_eq!(here.get(&person, &path).await.json()["status"], "pinning");
    assert_page(&here.list(&person, "status=pinning").await, 1);
    let later = here.add(&person, &json!({"cid": cid(2)})).await;
    let later = format!("/pins/{}", later["requestid"].as_str().unwrap());
    assert_eq!(there.get(&person, &later).await.json()["status"], "queued");
    assert_page(&here.list(&person, "").await, 0);
    there.pin_all().await;
    assert_eq!(here.get(&person, &later).await.json()["status"], "pinned");
    assert_page(&here.list(&person, "").await, 1);
}

#[tokio::test]
async fn what_one_removes_the_other_does_not_know() {
    let (here, there, person, path) = two_that_know_a_pin().await;
    assert_eq!(there.delete(&person, &path).await.status, 202);
    here.get(&person, &path).await.failure(404, "NOT_FOUND");
    assert_page(&here.list(&person, ALL).await, 0);
}

#[tokio::test]
async fn an_account_that_one_blocks_adds_nothing_at_the_other() {
    let (here, there, person, path) = two_that_know_a_pin().await;
    there.storage.set_blocked(&person.account, Some("spam"), there.clock.now()).await.unwrap();
    here.post(&person, "/pins", &json!({"cid": cid(2)})).await.failure(403, "ACCOUNT_BLOCKED");
    assert_eq!(here.get(&person, &path).await.status, 200);
    there.storage.set_blocked(&person.account, None, there.clock.now()).await.unwrap();
    here.add(&person, &json!({"cid": cid(2)})).await;
}

#[tokio::test]
async fn what_time_alone_changes_is_told() {
    let (here, _, person, path) = two_that_know_a_pin().await;
    let before = details(&here.get(&person, &path).await.json());
    here.clock.advance(Duration::from_mins(5));
    let after = details(&here.get(&person, &path).await.json());
    assert!(!before.contains("not been heard of") && after.contains("not been heard of"), "{before}, then {after}");
    let listed = here.list(&person, ALL).await;
    assert!(details(&listed["results"][0]).contains("not been heard of"), "{listed}");
}

#[tokio::test]
async fn nobody_is_told_what_another_account_was() {
    let (here, there, person, path) = two_that_know_a_pin().await;
    let stranger = here.pinner().await;
    for api in [&here, &there] {
        assert_eq!(api.get(&person, &path).await.status, 200);
        api.get(&stranger, &path).await.failure(404, "NOT_FOUND");
        assert_page(&api.list(&stranger, ALL).await, 0);
        assert_page(&api.list(&person, ALL).await, 1);
    }
}

#[tokio::test]
async fn a_narrowed_token_is_judged_each_time() {
    let (here, _, person, path) = two_that_know_a_pin().await;
    let name = Some(pinrail_domain::NameRestriction::Prefix("photos/".to_owned()));
    let restrictions = pinrail_domain::Restrictions { name, ..Default::default() };
    let token = pinrail_domain::attenuate(&person.token, &restrictions, super::support::unique()).unwrap();
    let narrowed = Person { token, ..person.clone() };
    assert_eq!(here.get(&person, &path).await.status, 200);
    here.get(&narrowed, &path).await.failure(403, "FORBIDDEN");
    here.get(&narrowed, &format!("/pins?{ALL}")).await.failure(403, "FORBIDDEN");
}
