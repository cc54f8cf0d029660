//! What belongs to somebody else is as unknown as what never was: by status, text and headers.

use axum::http::Method;
use serde_json::json;

use super::support::{Api, assert_page, cid};

#[tokio::test]
async fn a_strangers_id_is_answered_as_an_unknown_one() {
    let api = Api::new().await;
    let (owner, stranger) = (api.pinner().await, api.pinner().await);
    let added = api.add(&owner, &json!({"cid": cid(1), "name": "secret", "meta": {"k": "v"}})).await;
    let foreign = added["requestid"].as_str().unwrap().to_owned();
    let made_up = "0190d9a4-7c5e-7cc3-98c4-dc0c0c07398f".to_owned();
    let body = json!({"cid": cid(2)}).to_string();
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let ask = async |id: &str| api.send(&stranger, method.clone(), &format!("/pins/{id}"), body.clone()).await;
        let answer = ask(&foreign).await;
        answer.failure(404, "NOT_FOUND");
        for unknown in
            [&made_up, "100", "idThatDoesNotExists", "%ff", "%00", &foreign.to_uppercase(), &"x".repeat(5_000)]
        {
            assert_eq!(ask(unknown).await, answer, "{method} {unknown}");
        }
    }
    assert_eq!(api.get(&owner, &format!("/pins/{foreign}")).await.json()["pin"], added["pin"]);
}

#[tokio::test]
async fn lists_hold_the_readers_own_pins_only() {
    let api = Api::new().await;
    let (owner, stranger) = (api.pinner().await, api.pinner().await);
    api.add(&owner, &json!({"cid": cid(1), "name": "secret", "meta": {"k": "v"}})).await;
    api.pin_all().await;
    for query in ["", "name=secret", "meta[k]=v", &format!("cid={}", cid(1)), "status=queued,pinning,pinned,failed"] {
        assert_page(&api.list(&stranger, query).await, 0);
    }
}

#[tokio::test]
async fn an_answer_tells_nothing_of_others_origins() {
    let api = Api::new().await;
    let (owner, stranger) = (api.pinner().await, api.pinner().await);
    let origin = "/ip4/8.8.4.4/tcp/4001/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
    api.add(&owner, &json!({"cid": cid(1), "origins": [origin]})).await;
    let added = api.add(&stranger, &json!({"cid": cid(1)})).await;
    assert!(!added.to_string().contains("8.8.4.4"), "{added}");
}

#[tokio::test]
async fn pins_belong_to_the_account_and_not_to_the_token() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let added = api.add(&person, &json!({"cid": cid(1)})).await;
    let rotated = api.token(person.account, pinrail_domain::Scopes::pins(), None).await;
    assert!(api.storage.revoke_token(&person.id, api.clock.now()).await.unwrap());
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    api.get(&person, &path).await.failure(401, "UNAUTHORIZED");
    assert_eq!(api.get(&rotated, &path).await.json()["requestid"], added["requestid"]);
    assert_eq!(api.delete(&rotated, &path).await.status, 202);
}
