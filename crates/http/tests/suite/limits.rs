//! How much one token may ask for. Buckets here are refilled so slowly that no test sees it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use http_body_util::StreamBody;
use hyper::body::Frame;
use pinrail_domain::{Limits, Restrictions, Scopes, attenuate};
use pinrail_http::{Rate, RateLimits, Settings};
use serde_json::json;
use tokio::sync::oneshot;

use super::support::{Answer, Api, Person, cid, unique};

const NARROW: Rate = Rate { per_second: 1, burst: 3 };
const WIDE: Rate = Rate { per_second: 1_000, burst: 1_000 };

async fn service(limits: RateLimits) -> Api {
    Api::with(Settings { rate_limits: Some(limits), ..Settings::default() }).await
}

fn limits() -> RateLimits {
    RateLimits { reads: WIDE, writes: WIDE, polls: WIDE, ..RateLimits::default() }
}

/// Ask until the answer is 429; how many were answered before.
async fn answered_before_refusal(api: &Api, person: &Person, method: Method, path: &str) -> (usize, Answer) {
    for count in 0..100 {
        let answer = api.send(person, method.clone(), path, "").await;
        if answer.status == 429 {
            return (count, answer);
        }
    }
    panic!("{method} {path} was never refused");
}

#[tokio::test]
async fn each_kind_of_request_has_a_bucket_of_its_own() {
    for (method, path, narrow) in [
        (Method::GET, "/pins", RateLimits { reads: NARROW, ..limits() }),
        (Method::POST, "/pins", RateLimits { writes: NARROW, ..limits() }),
        (Method::GET, "/pins/x", RateLimits { polls: NARROW, ..limits() }),
    ] {
        let api = service(narrow).await;
        let person = api.pinner().await;
        let (count, refused) = answered_before_refusal(&api, &person, method.clone(), path).await;
        assert!(count >= 3, "{method} {path}: {count}");
        refused.failure(429, "TOO_MANY_REQUESTS");
        let seconds = refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
        assert!(seconds >= 1);
        let others = [(Method::GET, "/pins"), (Method::DELETE, "/pins/x"), (Method::GET, "/pins/x")];
        for (other, elsewhere) in others.into_iter().filter(|(other, elsewhere)| {
            let kind =
                |method: &Method, path: &str| (method == Method::GET, path == "/pins/x" && method == Method::GET);
            kind(other, elsewhere) != kind(&method, path)
        }) {
            assert_ne!(api.send(&person, other.clone(), elsewhere, "").await.status, 429, "{other} {elsewhere}");
        }
        let another = api.token(person.account, Scopes::pins(), None).await;
        assert_ne!(api.send(&another, method, path, "").await.status, 429, "another token has its own buckets");
    }
}

#[tokio::test]
async fn what_was_narrowed_from_a_token_counts_with_it() {
    let api = service(RateLimits { reads: NARROW, ..limits() }).await;
    let person = api.pinner().await;
    answered_before_refusal(&api, &person, Method::GET, "/pins").await;
    let same = Restrictions { operations: Some(Scopes::pins()), ..Restrictions::default() };
    let narrowed = Person { token: attenuate(&person.token, &same, unique()).unwrap(), ..person };
    api.get(&narrowed, "/pins").await.failure(429, "TOO_MANY_REQUESTS");
}

#[tokio::test]
async fn by_default_sixty_polls_at_once_are_answered() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let added = api.add(&person, &json!({"cid": cid(1)})).await;
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    let polls = (0..200).map(|_| api.get(&person, &path));
    for answer in futures::future::join_all(polls).await {
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn an_account_without_any_limit_and_a_service_without_rates_are_not_held_back() {
    let narrow = RateLimits { reads: NARROW, ..limits() };
    let api = service(narrow).await;
    let unlimited = api.newcomer(Limits::UNLIMITED).await;
    let open = Api::with(Settings { rate_limits: None, ..Settings::default() }).await;
    let anyone = open.pinner().await;
    for (api, person) in [(&api, &unlimited), (&open, &anyone)] {
        for _ in 0..50 {
            assert_eq!(api.get(person, "/pins").await.status, 200);
        }
    }
}

/// A request whose body waits until it is let go.
fn waiting_request(person: &Person) -> (Request<Body>, oneshot::Sender<()>) {
    let (release, released) = oneshot::channel::<()>();
    let body = futures::stream::once(async move {
        let _ = released.await;
        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(json!({"cid": cid(1)}).to_string())))
    });
    let request = Request::post("/pins").header("authorization", format!("Bearer {}", person.token));
    (request.body(Body::new(StreamBody::new(body))).unwrap(), release)
}

#[tokio::test]
async fn more_in_flight_than_allowed_wait_and_are_then_refused() {
    let api = Arc::new(service(RateLimits { in_flight: 2, wait: Duration::from_millis(50), ..limits() }).await);
    let person = api.pinner().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let (request, release) = waiting_request(&person);
        let calling = Arc::clone(&api);
        held.push((tokio::spawn(async move { calling.call(request).await }), release));
    }
    let refused = loop {
        // Both have begun once a further one is refused.
        let answer = api.get(&person, "/pins").await;
        if answer.status == 429 {
            break answer;
        }
    };
    refused.failure(429, "TOO_MANY_REQUESTS");
    assert!(refused.headers.contains_key("retry-after"));
    for (call, release) in held {
        release.send(()).unwrap();
        assert_eq!(call.await.unwrap().status, 202);
    }
    assert_eq!(api.get(&person, "/pins").await.status, 200, "the places are given back");
}

#[tokio::test]
async fn one_that_waits_is_answered_when_a_place_is_free() {
    let api = Arc::new(service(RateLimits { in_flight: 1, wait: Duration::from_mins(1), ..limits() }).await);
    let person = api.pinner().await;
    let (request, release) = waiting_request(&person);
    let (calling, listing) = (Arc::clone(&api), Arc::clone(&api));
    let first = tokio::spawn(async move { calling.call(request).await });
    let asking = person.clone();
    let second = tokio::spawn(async move { listing.get(&asking, "/pins").await });
    release.send(()).unwrap();
    assert_eq!(first.await.unwrap().status, 202);
    assert_eq!(second.await.unwrap().status, 200);
}
