//! How much one token, account or address may ask for. Buckets here are refilled so slowly that no test sees it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use pinrail_domain::{Limits, Restrictions, Scopes, attenuate};
use pinrail_http::{ClientAddress, Rate, RateLimits, Settings};
use serde_json::json;
use tokio::sync::oneshot;
use tower::ServiceExt;

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

/// Ask and leave the body of the answer where it is.
async fn unread(api: &Api, person: &Person, path: &str) -> Response<Body> {
    let request = Request::get(path).header("authorization", format!("Bearer {}", person.token));
    let answer = api.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

#[tokio::test]
async fn a_place_is_given_back_when_the_answer_is_sent() {
    let api = service(RateLimits { in_flight: 1, wait: Duration::from_millis(50), ..limits() }).await;
    let person = api.pinner().await;
    for path in ["/pins", "/pins?limit=1000"] {
        let held = unread(&api, &person, path).await;
        assert_eq!(api.state.usage().in_flight, 1, "{path}");
        api.get(&person, "/pins").await.failure(429, "TOO_MANY_REQUESTS");
        drop(held);
        assert_eq!((api.state.usage().in_flight, api.state.usage().answer_bytes), (0, 0), "{path}");
        assert_eq!(api.get(&person, path).await.status, 200);
    }
}

#[tokio::test]
async fn answers_that_one_account_does_not_read_leave_room_for_others() {
    let rate_limits = Some(RateLimits { wait: Duration::from_millis(50), ..limits() });
    let api = Api::with(Settings { rate_limits, answer_bytes: 4 << 20, ..Settings::default() }).await;
    let (greedy, victim) = (api.pinner().await, api.pinner().await);
    for number in 0..25 {
        api.add(&greedy, &json!({"cid": cid(number), "meta": {"a": "v".repeat(4_000)}})).await;
    }
    // Each is another list, so that none is told again from memory.
    let list = |number: u32| format!("/pins?status=queued&limit=25&x={number}");
    let mut held = Vec::new();
    for number in 0..3 {
        held.push(unread(&api, &greedy, &list(number)).await);
    }
    assert!(api.state.usage().answer_bytes > 3 * 25 * 4_000, "{:?}", api.state.usage());
    api.get(&greedy, &list(3)).await.failure(429, "TOO_MANY_REQUESTS");
    assert_eq!(api.get(&victim, "/pins?limit=25").await.status, 200);
    drop(held);
    assert_eq!(api.state.usage().answer_bytes, 0);
    assert_eq!(api.get(&greedy, &list(3)).await.status, 200);
}

#[tokio::test]
async fn an_account_counts_with_all_its_tokens() {
    let api = Arc::new(service(RateLimits { reads: NARROW, ..limits() }).await);
    let person = api.pinner().await;
    let mut people = Vec::new();
    for _ in 0..20 {
        people.push(api.token(person.account, Scopes::pins(), None).await);
    }
    // Together the tokens may ask for more than the account, and the more so the longer it takes.
    let mut refused = false;
    for _ in 0..100 {
        let answers = futures::future::join_all(people.iter().map(|person| api.get(person, "/pins"))).await;
        refused |= answers.iter().any(|answer| answer.status == 429 && answer.text().contains("in this account"));
        if refused {
            break;
        }
    }
    assert!(refused, "the account was never refused");
    let other = api.pinner().await;
    assert_eq!(api.get(&other, "/pins").await.status, 200, "another account has its own buckets");
}

#[tokio::test]
async fn requests_in_flight_count_for_the_account_too() {
    let api = Arc::new(service(RateLimits { in_flight: 1, wait: Duration::from_millis(50), ..limits() }).await);
    let person = api.pinner().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let another = api.token(person.account, Scopes::pins(), None).await;
        held.push(unread(&api, &another, "/pins").await);
    }
    let fifth = api.token(person.account, Scopes::pins(), None).await;
    api.get(&fifth, "/pins").await.failure(429, "TOO_MANY_REQUESTS");
    let other = api.pinner().await;
    assert_eq!(api.get(&other, "/pins").await.status, 200);
    held.pop();
    assert_eq!(api.get(&fifth, "/pins").await.status, 200);
}

#[tokio::test]
async fn a_list_that_costs_more_counts_for_more() {
    let costly = ["name=a&match=ipartial", "meta[a]=1&meta[b]=2&meta[c]=3", "limit=1000&name=a&match=partial"];
    for (query, costs_more) in costly.map(|query| (query, true)).into_iter().chain([("name=a", false)]) {
        let api = service(RateLimits { reads: Rate { per_second: 1, burst: 24 }, ..limits() }).await;
        let person = api.pinner().await;
        // Each is another list, so that none is told again from memory.
        let list = |number: u32| format!("/pins?{query}&x={number}");
        assert_eq!(api.get(&person, &list(0)).await.status, 200);
        let mut refused = false;
        for number in 1..=3 {
            refused |= api.get(&person, &list(number)).await.status == 429;
        }
        assert_eq!(refused, costs_more, "{query}");
    }
}

#[tokio::test]
async fn an_address_asks_only_so_much_with_tokens_that_are_not_known() {
    let api = service(RateLimits { strangers: NARROW, ..limits() }).await;
    let person = api.pinner().await;
    let ask = async |address: &str, token: &str| {
        let request = Request::get("/pins").extension(ClientAddress(address.parse().unwrap()));
        let request = request.header("authorization", format!("Bearer {token}"));
        api.call(request.body(Body::empty()).unwrap()).await
    };
    let (greedy, same_site, other) = ("2001:db8:1::1", "2001:db8:1:ffff::9", "2001:db8:2::1");
    assert_eq!(ask(greedy, &person.token).await.status, 200);
    let forged = [person.token.as_str(), "x"].concat();
    let mut refused = false;
    for _ in 0..100 {
        refused |= ask(greedy, &forged).await.status == 429;
    }
    assert!(refused, "it may ask for ever");
    assert_eq!(ask(greedy, &person.token).await.status, 200, "a token that is known is not held up");
    assert_eq!(ask(other, &forged).await.status, 401, "another address is not held up");
    let mut refused = false;
    for _ in 0..100 {
        refused |= ask(same_site, &forged).await.status == 429;
    }
    assert!(refused, "its site counts with it");
}
