//! Who may pin: accounts without access, with access that ended, and blocked ones.

use std::time::Duration;

use pinrail_domain::{Access, Limits};
use pinrail_http::Settings;
use serde_json::json;

use super::support::{Api, assert_page, cid};

async fn service() -> Api {
    Api::with(Settings { access_url: "https://example.com/access".to_owned(), ..Settings::default() }).await
}

#[tokio::test]
async fn a_newcomer_reads_its_empty_list_and_is_told_where_to_ask() {
    let api = service().await;
    let newcomer = api.newcomer(Limits::STANDARD).await;
    assert_page(&api.list(&newcomer, "").await, 0);
    for path in ["/pins", "/pins/anything"] {
        // Before the body is read, so that a wrong one does not hide it.
        for body in [json!({"cid": cid(1)}), json!("wrong")] {
            let details = api.post(&newcomer, path, &body).await.failure(403, "PINNING_ACCESS_REQUIRED");
            assert!(details.contains("https://example.com/access"), "{details}");
        }
    }
    api.delete(&newcomer, "/pins/1").await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn access_ends_when_it_says_and_when_it_is_withdrawn() {
    let api = service().await;
    let person = api.pinner().await;
    let added = api.add(&person, &json!({"cid": cid(1)})).await;
    let until = Some(api.clock.now() + Duration::from_hours(1));
    let access = Access { since: api.clock.now(), by: "operator".to_owned(), until };
    api.storage.set_access(&person.account, Some(&access), None, api.clock.now()).await.unwrap();
    api.add(&person, &json!({"cid": cid(2)})).await;
    api.clock.advance(Duration::from_hours(1));
    let refused = api.post(&person, "/pins", &json!({"cid": cid(3)})).await;
    assert!(refused.failure(403, "PINNING_ACCESS_REQUIRED").contains("ended"));
    api.storage.set_access(&person.account, None, None, api.clock.now()).await.unwrap();
    let refused = api.post(&person, "/pins", &json!({"cid": cid(3)})).await;
    assert!(refused.failure(403, "PINNING_ACCESS_REQUIRED").contains("was withdrawn at 2021-07-14T20:27:14.000Z"));
    assert_page(&api.list(&person, "status=queued").await, 2);
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    assert_eq!(api.delete(&person, &path).await.status, 202, "it may empty itself");
}

#[tokio::test]
async fn a_blocked_account_reads_only_and_is_told_why() {
    let api = service().await;
    let newcomer = api.newcomer(Limits::STANDARD).await;
    let pinner = api.pinner().await;
    api.add(&pinner, &json!({"cid": cid(1)})).await;
    for person in [&newcomer, &pinner] {
        api.storage.set_blocked(&person.account, Some("abuse"), api.clock.now()).await.unwrap();
        for path in ["/pins", "/pins/1"] {
            let refused = api.post(person, path, &json!({"cid": cid(1)})).await;
            assert!(refused.failure(403, "ACCOUNT_BLOCKED").contains("abuse"), "blocked wins over missing access");
        }
        api.delete(person, "/pins/1").await.failure(403, "ACCOUNT_BLOCKED");
        assert_eq!(api.get(person, "/pins").await.status, 200);
        api.storage.set_blocked(&person.account, None, api.clock.now()).await.unwrap();
    }
    api.add(&pinner, &json!({"cid": cid(2)})).await;
}

#[tokio::test]
async fn a_limit_is_told_with_its_number_and_comes_last() {
    let api = service().await;
    let person = api.pinner().await;
    let limits = Limits { requests: Some(2), ..Limits::STANDARD };
    let access = Access { since: api.clock.now(), by: "operator".to_owned(), until: None };
    api.storage.set_access(&person.account, Some(&access), Some(&limits), api.clock.now()).await.unwrap();
    api.add(&person, &json!({"cid": cid(1)})).await;
    let second = api.add(&person, &json!({"cid": cid(2)})).await;
    let refused = api.post(&person, "/pins", &json!({"cid": cid(3)})).await;
    let details = refused.failure(409, "QUOTA_EXCEEDED");
    assert!(details.contains("2 pin requests"), "{details}");
    api.post(&person, "/pins", &json!({"cid": "x"})).await.failure(400, "BAD_REQUEST");
    let path = format!("/pins/{}", second["requestid"].as_str().unwrap());
    let replaced = api.post(&person, &path, &json!({"cid": cid(3)})).await;
    assert_eq!(replaced.status, 202, "a replace takes no more room: {}", replaced.text());
}
