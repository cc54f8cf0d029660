//! Routers of all kinds, each a socket that answers with the bytes it is given.

use std::sync::mpsc::{Receiver, channel};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;
use crate::gate::DialPolicy;
use crate::web;

const ID: &str = "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8";

fn key() -> Multihash<64> {
    pinrail_ipfs::hash::hash(0x12, 32, b"wanted").expect("sha2-256")
}

/// The head of a request, up to the empty line.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("text")
}

/// A router whose socket answers each request with what `answer` makes of its head, and the requests.
async fn router_with(
    allow_private: bool,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (Router, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (asked, requests) = channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let head = read_head(&mut stream).await;
            let answer = answer(&head);
            asked.send(head).expect("the test runs");
            // A client that has read enough closes its end.
            let _closed = stream.write_all(answer.as_bytes()).await;
        }
    });
    (router_at(&format!("http://{address}"), allow_private), requests)
}

fn router_at(base: &str, allow_private: bool) -> Router {
    let gate = OutboundGate::new(DialPolicy { allow_private, never: Vec::new() });
    let client = web::client(gate.clone()).expect("certificates");
    Router::new(base.parse().expect("a URL"), client, gate)
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n{body}")
}

fn record(port: u16) -> String {
    format!(r#"{{"Schema":"peer","ID":"{ID}","Addrs":["/ip4/8.8.8.8/tcp/{port}"]}}"#)
}

/// The ports of all that is found.
async fn find(router: &Router) -> Vec<String> {
    let found = Mutex::new(Vec::new());
    router.find_providers(&key(), &|provider| lock(&found).extend(provider.addresses)).await;
    let found = found.into_inner().expect("no panic");
    found.iter().map(|address| address.to_string().replace("/ip4/8.8.8.8/tcp/", "")).collect()
}

#[tokio::test]
async fn the_question_is_what_the_specification_says() {
    let (router, requests) = router_with(true, |_| answer("200 OK", NDJSON, "")).await;
    find(&router).await;
    let head = requests.try_recv().expect("it was asked").to_ascii_lowercase();
    let cid = Cid::new_v1(RAW, key());
    let line = format!("get /routing/v1/providers/{cid}?filter-protocols=unknown,transport-bitswap http/1.1\r\n");
    assert!(head.starts_with(&line), "{head}");
    assert!(
        head.contains("accept: application/x-ndjson, application/json\r\n") && head.contains("user-agent: pinrail/")
    );
}

#[tokio::test]
async fn records_are_handed_on_as_they_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let router = router_at(&format!("http://{}", listener.local_addr().expect("an address")), true);
    let first_was_found = Arc::new(Notify::new());
    let go_on = first_was_found.clone();
    let streaming = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_head(&mut stream).await;
        let first = answer("200 OK", NDJSON, &format!("{}\n", record(1)));
        stream.write_all(first.as_bytes()).await.expect("it is read");
        go_on.notified().await;
        stream.write_all(record(2).as_bytes()).await.expect("it is read");
    });
    let ports = Mutex::new(Vec::new());
    let found = |provider: PeerInfo| {
        lock(&ports).extend(provider.addresses);
        first_was_found.notify_one();
    };
    router.find_providers(&key(), &found).await;
    streaming.await.expect("all was streamed");
    assert_eq!(lock(&ports).len(), 2);
}

#[tokio::test]
async fn the_answer_is_read_as_what_it_says_it_is() {
    let body = format!(r#"{{"Providers":[{},{}]}}"#, record(1), record(2));
    let (router, _requests) =
        router_with(true, move |_| answer("200 OK", "Application/JSON; charset=utf-8", &body)).await;
    assert_eq!(find(&router).await, ["1", "2"]);
    let lines = format!("junk\n{}\n\n{}\n{}", record(1), "x".repeat(100 << 10), record(2));
    let (router, _requests) = router_with(true, move |_| answer("200 OK", NDJSON, &lines)).await;
    assert_eq!(find(&router).await, ["1", "2"]);
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure_and_the_router_is_left_alone() {
    let endless = format!("{}\n{}", record(1), "x".repeat(2 << 20));
    for (text, found) in [
        (answer("200 OK", "text/html", "<html>"), 0),
        (answer("200 OK", JSON, "<html>"), 0),
        (answer("200 OK", NDJSON, &endless), 1),
        (answer("500 Internal Server Error", JSON, "{}"), 0),
        (answer("302 Found", JSON, "{}"), 0),
        ("junk\r\n\r\n".to_owned(), 0),
        (String::new(), 0),
    ] {
        let told = text.chars().take(60).collect::<String>();
        let (router, requests) = router_with(true, move |_| text.clone()).await;
        assert_eq!(find(&router).await.len(), found, "{told}");
        assert_eq!(find(&router).await.len(), 0, "{told}");
        assert_eq!(requests.try_iter().count(), 1, "{told}");
    }
}

#[tokio::test]
async fn none_is_an_answer() {
    let (router, requests) = router_with(true, |_| answer("404 Not Found", "text/plain", "none")).await;
    assert_eq!((find(&router).await.len(), find(&router).await.len()), (0, 0));
    assert_eq!(requests.try_iter().count(), 2);
}

#[tokio::test]
async fn a_busy_router_is_left_alone() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let busy = format!("HTTP/1.1 {status}\r\nretry-after: 30\r\nconnection: close\r\n\r\n");
        let (router, requests) = router_with(true, move |_| busy.clone()).await;
        find(&router).await;
        find(&router).await;
        assert_eq!(requests.try_iter().count(), 1, "{status}");
        let in_seconds = |seconds| Instant::now() + Duration::from_secs(seconds);
        let health = lock(&router.health);
        assert!(health.is_paused(in_seconds(15)) && !health.is_paused(in_seconds(31)));
    }
}

#[tokio::test]
async fn many_records_are_read_up_to_a_bound() {
    let lines = (1..=300).map(|port| record(port) + "\n").collect::<String>();
    let (router, _requests) = router_with(true, move |_| answer("200 OK", NDJSON, &lines)).await;
    assert_eq!(find(&router).await.len(), MAX_RECORDS);
}

#[tokio::test]
async fn the_addresses_of_a_provider_without_any_are_asked_for() {
    let (router, requests) = router_with(true, |head| {
        let is_peer = head.starts_with("GET /routing/v1/peers/");
        let bare = format!(r#"{{"Schema":"peer","ID":"{ID}","Addrs":[]}}"#);
        answer("200 OK", NDJSON, &if is_peer { record(7) } else { bare })
    })
    .await;
    assert_eq!(find(&router).await, ["7"]);
    assert_eq!(requests.try_iter().count(), 2);
    let peer = router.find_peer(ID.parse().expect("a peer id")).await.expect("it is known");
    assert_eq!(peer.addresses.len(), 1);
    assert_eq!(router.find_peer(PeerId::random()).await, None, "the answer is about another peer");
}

#[tokio::test]
async fn a_router_at_a_private_address_is_not_asked_on_the_public_network() {
    let (router, requests) = router_with(false, |_| answer("200 OK", NDJSON, &record(1))).await;
    assert_eq!(find(&router).await.len(), 0);
    assert_eq!(requests.try_iter().count(), 0);
}
