//! `DELETE /pins/{requestid}`.

use serde_json::json;

use super::support::{Api, assert_page, cid};

#[tokio::test]
async fn a_removed_request_is_gone_from_every_answer() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let added = api.add(&person, &json!({"cid": cid(1), "name": "a"})).await;
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    let removed = api.delete(&person, &path).await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (202, 0));
    api.get(&person, &path).await.failure(404, "NOT_FOUND");
    api.delete(&person, &path).await.failure(404, "NOT_FOUND");
    assert_page(&api.list(&person, "name=a").await, 0);
}

#[tokio::test]
async fn another_request_for_the_same_cid_stays() {
    let api = Api::new().await;
    let (one, other) = (api.pinner().await, api.pinner().await);
    let first = api.add(&one, &json!({"cid": cid(1)})).await;
    let second = api.add(&other, &json!({"cid": cid(1)})).await;
    api.pin_all().await;
    let path = format!("/pins/{}", first["requestid"].as_str().unwrap());
    assert_eq!(api.delete(&one, &path).await.status, 202);
    api.pin_all().await;
    let path = format!("/pins/{}", second["requestid"].as_str().unwrap());
    assert_eq!(api.get(&other, &path).await.json()["status"], "pinned");
}

#[tokio::test]
async fn a_cid_that_is_added_again_while_it_is_released_is_pinned_again() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let added = api.add(&person, &json!({"cid": cid(1)})).await;
    api.pin_all().await;
    api.delete(&person, &format!("/pins/{}", added["requestid"].as_str().unwrap())).await;
    let again = api.add(&person, &json!({"cid": cid(1)})).await;
    assert_eq!(again["status"], "queued", "its blocks may be going: {again}");
    api.pin_all().await;
    let path = format!("/pins/{}", again["requestid"].as_str().unwrap());
    assert_eq!(api.get(&person, &path).await.json()["status"], "pinned");
}
