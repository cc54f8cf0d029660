//! What is logged of requests, and what never is.

use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request};
use pinrail_domain::Limits;
use serde_json::{Value, json};
use tracing::subscriber::{DefaultGuard, set_default};

use super::support::{Answer, Api, cid};

/// What this thread logs, in lines of JSON.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Log from now on what `filter` lets through, until the guard is dropped.
    fn start(filter: &str) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(move || writer.clone());
        (log, set_default(lines.finish()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The lines that requests are told with, each with the fields of its span.
    fn answered(&self) -> Vec<Value> {
        let lines = self.lines().into_iter().filter(|line| line["fields"]["message"] == "answered");
        lines.map(|line| json!({ "line": line["fields"], "request": line["span"] })).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn id(answer: &Answer) -> &str {
    answer.headers["x-request-id"].to_str().unwrap()
}

#[tokio::test]
async fn a_request_is_one_line_that_names_who_asked_and_how_it_ended() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let (log, _guard) = Log::start("info");
    let answer = api.get(&person, "//pins/?limit=7").await;
    let [told] = &log.answered()[..] else { panic!("{}", log.text()) };
    assert_eq!(told["request"]["id"], id(&answer));
    assert_eq!((&told["request"]["method"], &told["request"]["route"]), (&json!("GET"), &json!("/pins")));
    assert_eq!(told["request"]["account"], person.account.to_string());
    assert_eq!(told["request"]["token"], person.id.to_string());
    assert_eq!((&told["line"]["status"], &told["line"]["reason"]), (&json!(200), &Value::Null));
    let (all, database) = (told["line"]["ms"].as_f64().unwrap(), told["line"]["database_ms"].as_f64().unwrap());
    assert!(0.0 < database && database <= all, "{told}");
    assert_eq!(log.lines().len(), 1, "{}", log.text());
}

#[tokio::test]
async fn each_request_has_an_id_of_its_own_whatever_the_client_calls_it() {
    let api = Api::new().await;
    let named = || Request::get("/health/live").header("x-request-id", "mine").body(Body::empty()).unwrap();
    let (first, second) = (api.call(named()).await, api.call(named()).await);
    assert_ne!(id(&first), id(&second));
    assert!(id(&first) != "mine" && id(&first).len() == 20, "{}", id(&first));
}

#[tokio::test]
async fn refusals_tell_their_reason() {
    let api = Api::new().await;
    let (person, newcomer) = (api.pinner().await, api.newcomer(Limits::STANDARD).await);
    let (log, _guard) = Log::start("info");
    api.call(Request::get("/pins").body(Body::empty()).unwrap()).await.failure(401, "UNAUTHORIZED");
    api.post(&newcomer, "/pins", &json!({ "cid": cid(1) })).await.failure(403, "PINNING_ACCESS_REQUIRED");
    api.get(&person, "/pins/none").await.failure(404, "NOT_FOUND");
    api.get(&person, "/elsewhere").await.failure(404, "NOT_FOUND");
    api.send(&person, Method::from_bytes(b"SECRET").unwrap(), "/pins", "").await.failure(405, "METHOD_NOT_ALLOWED");
    let told = log.answered();
    let told = told.iter().map(|told| (&told["line"]["status"], &told["line"]["reason"], &told["request"]["route"]));
    let wanted = [
        (401, "UNAUTHORIZED", "/pins"),
        (403, "PINNING_ACCESS_REQUIRED", "/pins"),
        (404, "NOT_FOUND", "/pins/{requestid}"),
        (404, "NOT_FOUND", "none"),
        (405, "METHOD_NOT_ALLOWED", "/pins"),
    ];
    let wanted = wanted.map(|(status, reason, route)| (json!(status), json!(reason), json!(route)));
    assert!(told.eq(wanted.iter().map(|(status, reason, route)| (status, reason, route))), "{}", log.text());
    assert_eq!(log.answered()[1]["request"]["account"], newcomer.account.to_string(), "refused, and known");
}

#[tokio::test]
async fn what_became_of_a_pin_can_be_followed_by_its_root() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let (log, _guard) = Log::start("info");
    let pin = api.add(&person, &json!({ "cid": cid(1) })).await;
    let pin = pin["requestid"].as_str().unwrap();
    let replaced = api.post(&person, &format!("/pins/{pin}"), &json!({ "cid": cid(2) })).await.json();
    let other = replaced["requestid"].as_str().unwrap();
    api.delete(&person, &format!("/pins/{other}")).await;
    let lines = log.lines();
    let told = lines.iter().filter(|line| line["fields"]["pin"].is_string()).map(|line| {
        let fields = &line["fields"];
        assert!(line["span"]["id"].is_string(), "{line}");
        (fields["message"].as_str().unwrap(), fields["pin"].as_str().unwrap(), fields["root"].as_str())
    });
    let wanted = [
        ("pin request accepted", pin, Some(cid(1))),
        ("pin request accepted", other, Some(cid(2))),
        ("pin request removed", other, None),
    ];
    assert!(told.eq(wanted.iter().map(|(message, pin, root)| (*message, *pin, root.as_deref()))), "{}", log.text());
}

#[tokio::test]
async fn nothing_that_clients_write_is_logged() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let narrowed = "not-a-token-at-all";
    let (log, _guard) = Log::start("info");
    let pin = json!({ "cid": cid(1), "name": "a-name", "meta": { "a-key": "a-value" } });
    api.add(&person, &pin).await;
    api.list(&person, "name=a-name&meta=%7B%22a-key%22%3A%22a-value%22%7D").await;
    api.get(&person, "/pins?limit=a-limit").await.failure(400, "BAD_REQUEST");
    api.post(&person, "/pins", &json!({ "cid": "a-cid", "name": "a-name" })).await.failure(400, "BAD_REQUEST");
    api.get(&person, "/a-path").await.failure(404, "NOT_FOUND");
    let bad = Request::get("/pins?name=a-name").header("authorization", format!("Bearer {narrowed}"));
    api.call(bad.body(Body::empty()).unwrap()).await.failure(401, "UNAUTHORIZED");
    let text = log.text();
    assert_eq!(log.answered().len(), 6, "{text}");
    let secrets = ["a-name", "a-key", "a-value", "a-limit", "a-cid", "a-path", "limit", narrowed, &person.token];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn at_debug_it_tells_what_the_database_was_asked_and_why_something_was_refused() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let (log, _guard) = Log::start("pinrail_http=debug");
    api.list(&person, "").await;
    api.get(&person, "/pins?limit=0").await.failure(400, "BAD_REQUEST");
    let lines = log.lines();
    let calls = lines.iter().filter(|line| line["fields"]["message"] == "database");
    let calls = calls.filter_map(|line| line["fields"]["call"].as_str()).collect::<Vec<_>>();
    assert!(calls.contains(&"standing") && calls.contains(&"list_pin_requests"), "{calls:?}");
    let refused = lines.iter().find(|line| line["fields"]["message"] == "refused").expect("a refusal");
    assert!(refused["fields"]["details"].as_str().unwrap().contains("limit"), "{refused}");
    assert!(!log.text().contains(&person.token));
}

#[tokio::test]
async fn a_client_that_leaves_is_logged_too() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let (log, _guard) = Log::start("info");
    let never = futures::stream::pending::<Result<hyper::body::Bytes, io::Error>>();
    let request = Request::post("/pins").header("authorization", format!("Bearer {}", person.token));
    tokio::select! {
        biased;
        answer = api.call(request.body(Body::from_stream(never)).unwrap()) => panic!("{answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    let told = log.answered();
    assert_eq!(told.iter().map(|told| &told["line"]["status"]).collect::<Vec<_>>(), [499], "{}", log.text());
    assert_eq!(told[0]["request"]["route"], "/pins");
}
