//! What must happen once happens once, however many ask at the same time.

use std::sync::Arc;

use serde_json::{Value, json};

use super::support::{Api, Person, assert_page, cid};

async fn at_once(count: usize, ask: impl AsyncFn(usize) -> u16 + Clone + 'static) -> Vec<u16> {
    let local = tokio::task::LocalSet::new();
    let asked = (0..count).map(|number| {
        let ask = ask.clone();
        local.spawn_local(async move { ask(number).await })
    });
    let asked = asked.collect::<Vec<_>>();
    local.await;
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    answers.sort_unstable();
    answers
}

async fn one_pin() -> (Arc<Api>, Person, String) {
    let api = Api::new().await;
    let person = api.pinner().await;
    let added: Value = api.add(&person, &json!({"cid": cid(1)})).await;
    (Arc::new(api), person, format!("/pins/{}", added["requestid"].as_str().unwrap()))
}

fn one_of(count: usize) -> Vec<u16> {
    let mut wanted = vec![404; count];
    wanted[0] = 202;
    wanted
}

#[tokio::test]
async fn of_many_deletes_one_succeeds() {
    let (api, person, path) = one_pin().await;
    let answers = at_once(8, async move |_| api.delete(&person, &path).await.status.as_u16()).await;
    assert_eq!(answers, one_of(8));
}

#[tokio::test]
async fn of_many_replaces_one_succeeds() {
    let (api, person, path) = one_pin().await;
    let (shared, asking) = (Arc::clone(&api), person.clone());
    let replace = async move |number: usize| {
        let pin = json!({"cid": cid(u32::try_from(number).unwrap() + 2)});
        shared.post(&asking, &path, &pin).await.status.as_u16()
    };
    assert_eq!(at_once(8, replace).await, one_of(8));
    assert_page(&api.list(&person, "status=queued,pinning,pinned,failed").await, 1);
}

#[tokio::test]
async fn of_deletes_and_replaces_together_one_succeeds() {
    let (api, person, path) = one_pin().await;
    let mixed = async move |number: usize| {
        let answer = if number.is_multiple_of(2) {
            api.delete(&person, &path).await
        } else {
            api.post(&person, &path, &json!({"cid": cid(2)})).await
        };
        answer.status.as_u16()
    };
    assert_eq!(at_once(8, mixed).await, one_of(8));
}

#[tokio::test]
async fn many_adds_get_times_of_their_own() {
    let (api, person, _) = one_pin().await;
    let (shared, asking) = (Arc::clone(&api), person.clone());
    let add = async move |number: usize| {
        let pin = json!({"cid": cid(u32::try_from(number).unwrap())});
        shared.post(&asking, "/pins", &pin).await.status.as_u16()
    };
    assert_eq!(at_once(40, add).await, vec![202; 40]);
    let listed = assert_page(&api.list(&person, "status=queued&limit=1000").await, 41);
    let times = listed.iter().map(|status| status["created"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
}
