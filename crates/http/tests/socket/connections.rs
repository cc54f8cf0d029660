//! Who gets a connection, how long it lasts, and whom its requests are from.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Extension, Router};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pinrail_http::{ClientAddress, ServerLimits, Settings, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{SHORT, Server, start, start_with};

/// Far more than anything here takes: a test that waits for so long has failed.
const LONG: Duration = Duration::from_mins(1);

/// A server whose clients may take their time with the body.
async fn patient(limits: ServerLimits) -> Server {
    start_with(limits, Settings { body_timeout: 2 * LONG, ..Settings::default() }).await
}

/// Ask on a connection that is kept.
async fn ask(stream: &mut TcpStream) -> bool {
    let sent = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut answer = [0; 512];
    let heard = stream.read(&mut answer).await;
    sent.is_ok() && heard.is_ok_and(|heard| answer[..heard].starts_with(b"HTTP/1.1 200"))
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(LONG, stream.read_to_end(&mut rest)).await.is_ok_and(|_| rest.is_empty())
}

#[tokio::test]
async fn a_full_house_of_busy_ones_makes_others_wait_until_one_leaves() {
    let server = patient(ServerLimits { connections: 1, ..ServerLimits::default() }).await;
    let first = server.keep_busy(server.connect().await).await;
    let mut second = server.connect().await;
    second.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut byte = [0];
    let answered = timeout(SHORT, second.peek(&mut byte)).await;
    assert!(answered.is_err(), "it was answered while the house was full");
    drop(first);
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn the_longest_idle_one_goes_when_all_places_are_taken() {
    let server = patient(ServerLimits { connections: 3, ..ServerLimits::default() }).await;
    let mut busy = server.keep_busy(server.connect().await).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    assert!(ask(&mut second).await && ask(&mut first).await);
    let mut third = server.connect().await;
    assert!(ask(&mut third).await, "a further one gets a place");
    assert!(is_closed(&mut second).await, "the one that was idle longest is closed");
    assert!(ask(&mut first).await, "the other one is not");
    busy.write_all(b"{\"cid\":1}").await.unwrap();
    let mut answer = [0; 12];
    busy.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400", "and the busy one neither");
}

#[tokio::test]
async fn one_address_has_its_share_and_others_have_theirs() {
    let limits = ServerLimits { connections_per_address: 2, ..ServerLimits::default() };
    let server = patient(limits).await;
    let _held = [
        server.keep_busy(server.connect_from("127.0.0.1").await).await,
        server.keep_busy(server.connect_from("127.0.0.1").await).await,
    ];
    assert!(!ask(&mut server.connect_from("127.0.0.1").await).await, "its share is taken");
    let mut other = server.connect_from("127.0.0.2").await;
    assert!(ask(&mut other).await, "another address has its own");
    let mut further = server.connect_from("127.0.0.2").await;
    assert!(ask(&mut further).await && ask(&mut other).await);
    assert!(ask(&mut server.connect_from("127.0.0.2").await).await, "an idle one of its own makes room");
    assert!(is_closed(&mut further).await);
}

#[tokio::test]
async fn a_trusted_proxy_has_no_share() {
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let server = patient(ServerLimits { connections_per_address: 1, trusted_proxies, ..ServerLimits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(server.keep_busy(server.connect_from("127.0.0.1").await).await);
    }
    assert!(ask(&mut server.connect_from("127.0.0.1").await).await);
}

#[tokio::test]
async fn an_idle_http_2_connection_ends_though_it_answers_pings() {
    let server = start(ServerLimits { header_timeout: SHORT, ..ServerLimits::default() }).await;
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://x/health/live").body(Body::empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body().collect().await.unwrap();
    // The client keeps its side open.
    timeout(LONG, connection).await.expect("it is closed").unwrap().expect("in good order");
    drop(sender);
}

#[tokio::test]
async fn a_preface_that_does_not_come_is_not_waited_for() {
    let server = start(ServerLimits { header_timeout: SHORT, silence: 2 * LONG, ..ServerLimits::default() }).await;
    for begun in [&b""[..], b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /pins HTTP/1.1\r\nx: "] {
        timeout(LONG, server.exchange(begun)).await.expect("it is closed");
    }
    server.still_answers().await;
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_reset_and_gives_its_place_back() {
    let server = start(ServerLimits { write_timeout: SHORT, ..ServerLimits::default() }).await;
    let client = h2::client::Builder::new().initial_window_size(0).handshake::<_, bytes::Bytes>(server.connect().await);
    let (client, connection) = client.await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::get("http://x/pins").header("authorization", format!("Bearer {}", server.token));
    let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!((answer.status(), server.state.usage().in_flight), (StatusCode::OK, 1));
    let taken = timeout(LONG, answer.into_body().data()).await.expect("the stream ends");
    assert!(taken.expect("it does not end well").is_err_and(|error| error.is_reset()));
    assert_eq!(server.state.usage().in_flight, 0);
}

/// What a request's handler finds as its client's address.
async fn client_of(proxies: &[&str], headers: &str) -> String {
    let told = |client: Option<Extension<ClientAddress>>| async move {
        client.map_or_else(|| "none".to_owned(), |Extension(client)| client.to_string())
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let trusted_proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
    let limits = ServerLimits { trusted_proxies, ..ServerLimits::default() };
    let serving = tokio::spawn(serve(listener, Router::new().route("/", get(told)), limits, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serving.abort();
    answer.split("\r\n\r\n").nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_request_carries_the_address_of_its_client() {
    let headers = "x-forwarded-for: 192.0.2.1, 198.51.100.1\r\n";
    assert_eq!(client_of(&[], headers).await, "127.0.0.1");
    assert_eq!(client_of(&["10.0.0.0/8"], headers).await, "127.0.0.1");
    assert_eq!(client_of(&["127.0.0.0/8"], headers).await, "198.51.100.1");
    assert_eq!(client_of(&["127.0.0.0/8"], "").await, "127.0.0.1");
}
