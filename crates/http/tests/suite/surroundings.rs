//! What surrounds the operations: paths, methods, browsers, compression, health, the documents, and what goes wrong.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use futures::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use pinrail_http::{BODY_LIMIT, CorsOrigins, Settings};
use serde_json::json;

use super::support::{Answer, Api, assert_page, assert_pin_status, cid};

async fn plain(api: &Api, method: &str, path: &str) -> Answer {
    api.call(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn slashes_and_base_paths_are_tolerated_without_a_redirect() {
    let api = Api::with(Settings { base_path: "psa/".to_owned(), ..Settings::default() }).await;
    let person = api.pinner().await;
    for path in ["/pins", "//pins", "/pins/", "/psa/pins", "//psa//pins//", "/pins?limit=1", "/psa/pins/?limit=1"] {
        assert_page(&api.get(&person, path).await.json(), 0);
    }
    let added = api.send(&person, Method::POST, "/psa//pins/", json!({"cid": cid(1)}).to_string()).await;
    assert_eq!(added.status, 202);
    let id = added.json()["requestid"].as_str().unwrap().to_owned();
    for path in [format!("//pins//{id}"), format!("/pins/{id}/"), format!("/psa/pins/{id}")] {
        assert_pin_status(&api.get(&person, &path).await.json());
    }
    assert_eq!(api.delete(&person, &format!("/psa//pins/{id}/")).await.status, 202);
}

#[tokio::test]
async fn unknown_paths_are_told_as_json() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let unknown = ["/pin", "/pins/a/b", "/api/v0/pin/ls", "/Pins", "/psa/pins", "/health", "/openapi.yaml", "/%ff"];
    for path in unknown {
        for method in ["GET", "POST", "DELETE", "PUT"] {
            plain(&api, method, path).await.failure(404, "NOT_FOUND");
        }
        api.get(&person, path).await.failure(404, "NOT_FOUND");
    }
    plain(&api, "GET", "/docs/nothing.js").await.failure(404, "NOT_FOUND");
}

#[tokio::test]
async fn unknown_methods_are_told_with_those_that_are_known() {
    let api = Api::new().await;
    for (path, allowed) in [("/pins", ["GET", "POST"].as_slice()), ("/pins/x", &["GET", "POST", "DELETE"])] {
        for method in ["PUT", "PATCH", "TRACE", "BREW", "OPTIONS"] {
            let refused = plain(&api, method, path).await;
            if method != "OPTIONS" {
                refused.failure(405, "METHOD_NOT_ALLOWED");
            }
            let allow = refused.headers["allow"].to_str().unwrap();
            for method in allowed.iter().chain(&["OPTIONS"]) {
                assert!(allow.contains(method), "{path}: {allow}");
            }
        }
    }
    plain(&api, "DELETE", "/pins").await.failure(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let head = api.send(&person, Method::HEAD, "/pins", "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.headers["content-type"], "application/json");
}

#[tokio::test]
async fn pages_of_other_sites_may_call() {
    let api = Api::new().await;
    let preflight = Request::options("/pins/x")
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "DELETE")
        .header("access-control-request-headers", "authorization,content-type");
    let allowed = api.call(preflight.body(Body::empty()).unwrap()).await;
    assert!(allowed.status.is_success(), "a preflight needs no token");
    let header = |name: &str| allowed.headers[name].to_str().unwrap().to_ascii_lowercase();
    assert_eq!(header("access-control-allow-origin"), "*");
    for method in ["get", "post", "delete", "options"] {
        assert!(header("access-control-allow-methods").contains(method));
    }
    for name in ["authorization", "content-type"] {
        assert!(header("access-control-allow-headers").contains(name));
    }
    assert!(!allowed.headers.contains_key("access-control-allow-credentials"));
    for path in ["/pins", "/nothing"] {
        let request = Request::get(path).header("origin", "https://app.example.com");
        let refused = api.call(request.body(Body::empty()).unwrap()).await;
        assert_eq!(refused.headers["access-control-allow-origin"], "*", "a failure has to be readable too");
    }
}

#[tokio::test]
async fn the_sites_that_may_call_can_be_named() {
    let cors = CorsOrigins::These(vec!["https://app.example.com".to_owned()]);
    let api = Api::with(Settings { cors, ..Settings::default() }).await;
    for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example.com", false)] {
        let answer = api.call(Request::get("/pins").header("origin", origin).body(Body::empty()).unwrap()).await;
        let told = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
        assert_eq!(told, allowed.then_some(origin));
    }
}

#[tokio::test]
async fn what_is_told_about_pins_is_kept_by_no_cache() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let added = api.post(&person, "/pins", &json!({"cid": cid(1)})).await;
    let path = format!("/pins/{}", added.json()["requestid"].as_str().unwrap());
    let answers = [
        added,
        api.get(&person, "/pins").await,
        api.get(&person, &path).await,
        api.get(&person, "//pins/").await,
        api.get(&person, "/pins?limit=0").await,
        api.delete(&person, &path).await,
        api.get(&person, &path).await,
        plain(&api, "GET", "/pins").await,
        plain(&api, "PUT", "/pins").await,
    ];
    for answer in answers {
        assert_eq!(answer.headers["cache-control"], "no-store", "{}", answer.text());
    }
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask() {
    let api = Api::new().await;
    let person = api.pinner().await;
    for number in 0..10 {
        api.add(&person, &json!({"cid": cid(number), "name": "n".repeat(255)})).await;
    }
    let request = Request::get("/pins?status=queued").header("authorization", format!("Bearer {}", person.token));
    let answer = api.call(request.header("accept-encoding", "gzip").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_page(&serde_json::from_str(&text).unwrap(), 10);
}

#[tokio::test]
async fn while_the_disk_is_at_its_reserve_nothing_is_added_and_the_rest_goes_on() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let added = api.add(&person, &json!({"cid": cid(1)})).await;
    let path = format!("/pins/{}", added["requestid"].as_str().unwrap());
    api.state.set_full(true);
    for path in ["/pins", &path] {
        let refused = api.post(&person, path, &json!({"cid": cid(2)})).await;
        refused.failure(503, "DATABASE_FULL");
        assert_eq!(refused.headers["retry-after"], "60");
    }
    plain(&api, "GET", "/health/ready").await.failure(503, "DATABASE_FULL");
    assert_eq!(api.get(&person, &path).await.json()["pin"]["cid"], cid(1));
    assert_page(&api.list(&person, "status=queued").await, 1);
    assert_eq!(api.delete(&person, &path).await.status, 202);

    api.state.set_full(false);
    api.add(&person, &json!({"cid": cid(2)})).await;
    assert_eq!(plain(&api, "GET", "/health/ready").await.status, 200);
}

#[tokio::test]
async fn health_needs_no_token_and_ends_with_the_service() {
    let api = Api::new().await;
    for path in ["/health/live", "/health/ready", "//health/ready/"] {
        let answer = plain(&api, "GET", path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    api.state.drain();
    assert!(plain(&api, "GET", "/health/ready").await.failure(503, "UNAVAILABLE").contains("shutting down"));
    assert_eq!(plain(&api, "GET", "/health/live").await.status, 200);
}

#[tokio::test]
async fn the_document_is_served_with_a_page_that_loads_nothing_from_elsewhere() {
    let api = Api::with(Settings { base_path: "/psa".to_owned(), ..Settings::default() }).await;
    let document = plain(&api, "GET", "/psa/openapi.json").await.json();
    assert_eq!(document["servers"], json!([{"url": "."}]), "beside the document, whatever path that is at");
    let tried = plain(&api, "GET", "/psa/docs/openapi.json").await.json();
    assert_eq!(tried["servers"], json!([{"url": ".."}]), "above the page");
    let start = plain(&api, "GET", "/psa/").await.json();
    for (name, kind) in [("documentation", "text/html"), ("openapi", "application/json"), ("pins", "application/json")]
    {
        let link = start[name].as_str().expect("a link");
        assert!(!link.starts_with('/'), "{name} is at {link}, wanted a relative link");
        let answer = plain(&api, "GET", &format!("/psa/{link}")).await;
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with(kind), "{name}");
    }
    assert!(document["paths"]["/pins/{requestid}"]["delete"].is_object());
    assert_eq!(document["components"]["securitySchemes"]["accessToken"]["scheme"], "bearer");

    assert_eq!(plain(&api, "GET", "/psa/docs").await.headers["location"], "docs/");
    let page = plain(&api, "GET", "/psa/docs/").await;
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
    let html = page.text();
    let mut files = html
        .split(['"', '\''])
        .filter(|part| Path::new(part).extension().is_some_and(|kind| kind == "js" || kind == "css"));
    assert!(files.clone().count() >= 3, "{html}");
    for file in files.by_ref() {
        assert!(!file.contains("//"), "{file} is loaded from elsewhere");
        let answer = plain(&api, "GET", &format!("/docs/{}", file.trim_start_matches("./"))).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(!answer.body.is_empty(), "{file}");
    }
    assert!(plain(&api, "GET", "/docs/swagger-initializer.js").await.text().contains("\"openapi.json\""));
}

#[tokio::test]
async fn what_the_page_fills_in_can_be_sent() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let document = plain(&api, "GET", "/docs/openapi.json").await.json();
    for filter in document["paths"]["/pins"]["get"]["parameters"].as_array().expect("the filters") {
        assert!(filter.get("example").is_none(), "{filter}");
        if let Some(content) = filter.get("content") {
            assert_eq!(content["application/json"]["example"], json!({}), "{filter}");
        }
    }
    let example = &document["components"]["schemas"]["Pin"]["example"];
    assert_eq!(api.post(&person, "/pins", example).await.json()["status"], "pinned");
}

#[tokio::test]
async fn the_endpoint_itself_says_what_is_here() {
    let api = Api::new().await;
    for path in ["/", "//"] {
        assert_eq!(plain(&api, "GET", path).await.json()["pins"], "pins");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let api = Api::with(Settings { body_timeout: Duration::from_millis(20), ..Settings::default() }).await;
    let person = api.pinner().await;
    let never = futures::stream::pending::<Result<Frame<Bytes>, std::convert::Infallible>>();
    let request = Request::post("/pins").header("authorization", format!("Bearer {}", person.token));
    let refused = api.call(request.body(Body::new(StreamBody::new(never))).unwrap()).await;
    refused.failure(408, "REQUEST_TIMEOUT");
}

#[tokio::test]
async fn a_body_over_the_limit_is_told_so_though_its_end_does_not_come() {
    let api = Api::with(Settings { body_timeout: Duration::from_millis(200), ..Settings::default() }).await;
    let person = api.pinner().await;
    let sent = Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(vec![b' '; BODY_LIMIT + 1])));
    let stalled = futures::stream::iter([sent]).chain(futures::stream::pending());
    let request = Request::post("/pins").header("authorization", format!("Bearer {}", person.token));
    let refused = api.call(request.body(Body::new(StreamBody::new(stalled))).unwrap()).await;
    refused.failure(413, "BODY_TOO_LARGE");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_pin() {
    let api = Api::new().await;
    let person = api.pinner().await;
    let broken = futures::stream::iter([
        Ok(Frame::data(Bytes::from_static(b"{\"cid\":"))),
        Err(std::io::Error::other("the connection is gone")),
    ]);
    let request = Request::post("/pins").header("authorization", format!("Bearer {}", person.token));
    let refused = api.call(request.body(Body::new(StreamBody::new(broken))).unwrap()).await;
    refused.failure(400, "BAD_REQUEST");
}
