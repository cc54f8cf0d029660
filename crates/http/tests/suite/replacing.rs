//! `POST /pins/{requestid}`: a new request in, the old one gone from every answer.

use serde_json::{Value, json};

use super::support::{Api, PEER, assert_page, assert_pin_status, cid};

const ALL: &str = "status=queued,pinning,pinned,failed";

fn path(status: &Value) -> String {
    format!("/pins/{}", status["requestid"].as_str().unwrap())
}

#[tokio::test]
async fn the_new_request_takes_the_place_of_the_old_one() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let old = api.add(&person, &json!({"cid": cid(1), "name": "old", "meta": {"a": "b"}})).await;
    let replaced = api.post(&person, &path(&old), &json!({"cid": cid(2), "name": "new"})).await;
    assert_eq!(replaced.status, 202, "{}", replaced.text());
    let new = replaced.json();
    assert_pin_status(&new);
    assert_ne!(new["requestid"], old["requestid"]);
    assert_eq!(new["pin"], json!({"cid": cid(2), "name": "new"}));
    api.get(&person, &path(&old)).await.failure(404, "NOT_FOUND");
    api.delete(&person, &path(&old)).await.failure(404, "NOT_FOUND");
    api.post(&person, &path(&old), &json!({"cid": cid(3)})).await.failure(404, "NOT_FOUND");
    let listed = assert_page(&api.list(&person, ALL).await, 1);
    assert_eq!(listed[0]["requestid"], new["requestid"]);
}

#[tokio::test]
async fn it_is_whole_so_fields_left_out_are_gone() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let origin = format!("/ip4/8.8.4.4/tcp/4001/p2p/{PEER}");
    let pin = json!({"cid": cid(1), "name": "a", "origins": [origin], "meta": {"a": "b"}});
    let old = api.add(&person, &pin).await;
    let new = api.post(&person, &path(&old), &json!({"cid": cid(1)})).await.json();
    assert_eq!(new["pin"], json!({"cid": cid(1)}));
    assert_page(&api.list(&person, &format!("{ALL}&meta[a]=b")).await, 0);
    assert_page(&api.list(&person, "name=a").await, 0);
}

#[tokio::test]
async fn the_same_cid_stays_pinned() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let old = api.add(&person, &json!({"cid": cid(1)})).await;
    api.pin_all().await;
    let replaced = api.post(&person, &path(&old), &json!({"cid": cid(1), "name": "now named"})).await;
    assert_eq!(replaced.status, 202);
    let new = replaced.json();
    assert_ne!(new["requestid"], old["requestid"]);
    assert_eq!(new["status"], "pinned", "{new}");
    api.pin_all().await;
    assert_eq!(api.get(&person, &path(&new)).await.json()["status"], "pinned");
}

#[tokio::test]
async fn what_is_wrong_with_the_new_one_leaves_the_old_one_alone() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let old = api.add(&person, &json!({"cid": cid(1)})).await;
    api.post(&person, &path(&old), &json!({"cid": "nothing"})).await.failure(400, "BAD_REQUEST");
    api.post(&person, &path(&old), &json!({})).await.failure(400, "BAD_REQUEST");
    assert_eq!(api.get(&person, &path(&old)).await.json()["requestid"], old["requestid"]);
    // A bad body is judged before the id.
    api.post(&person, "/pins/nothing", &json!({})).await.failure(400, "BAD_REQUEST");
    api.post(&person, "/pins/nothing", &json!({"cid": cid(1)})).await.failure(404, "NOT_FOUND");
}
