//! The service on a real socket: both protocols, clients that are slow or too loud, and the end of it.

mod connections;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pinrail_domain::{Access, AccountId, Limits, MintRequest, Role, Scopes, ServiceId, SigningKey, TokenId, mint};
use pinrail_http::{ServerLimits, Settings, State, router, serve};
use pinrail_spec::Timestamp;
use pinrail_storage::{AccessTokens, Accounts, NewAccount, SigningKeys, Storage};
use pinrail_storage_conformance::MemoryStorage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SHORT: Duration = Duration::from_millis(100);

struct Server {
    /// Of an account that may pin.
    token: String,
    address: SocketAddr,
    state: State,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn start(limits: ServerLimits) -> Server {
    start_with(limits, Settings { body_timeout: SHORT, ..Settings::default() }).await
}

async fn start_with(limits: ServerLimits, settings: Settings) -> Server {
    let now = Arc::new(|| Timestamp::from_millis(1_626_290_834_000));
    let storage = Arc::new(MemoryStorage::new(now.clone()));
    let service = storage.service_id().await.unwrap();
    let token = pinner(storage.as_ref(), service).await;
    let state = State::new(storage, service, now, Arc::new(|| [7; 10]), settings);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = serve(listener, router(state.clone()), limits, async {
        let _ = stopped.await;
    });
    Server { token, address, state, stop, ended: tokio::spawn(serving) }
}

/// The token of an account that may pin.
async fn pinner(storage: &MemoryStorage, service: ServiceId) -> String {
    let created = storage.now().await.unwrap();
    let account = AccountId::new(created, [1; 10]);
    let new =
        NewAccount { id: account, name: "ada".to_owned(), email: None, role: Role::Pinner, limits: Limits::STANDARD };
    storage.add_account(&new, created).await.unwrap();
    let access = Access { since: created, by: "operator".to_owned(), until: None };
    storage.set_access(&account, Some(&access), None, created).await.unwrap();
    let key = SigningKey::new(1, [2; 32]);
    storage.add_key(&key.public(created)).await.unwrap();
    let (token, name) = (TokenId::new(created, [3; 10]), "test".to_owned());
    let request = MintRequest { service, account, token, name, scopes: Scopes::pins(), expires: None, created };
    let minted = mint(&request, &key, [4; 32]).unwrap();
    storage.add_token(&minted.record).await.unwrap();
    minted.text
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Connect from another address of this machine.
    async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// A connection whose request is being answered: its body is waited for.
    async fn keep_busy(&self, mut stream: TcpStream) -> TcpStream {
        let headers = format!("host: x\r\nauthorization: Bearer {}\r\nexpect: 100-continue", self.token);
        let request = format!("POST /pins HTTP/1.1\r\n{headers}\r\ncontent-length: 9\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut heard = [0; 25];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }

    /// Send these bytes and read until the server closes the connection.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may have answered and closed before everything is sent.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn still_answers(&self) {
        let answer = self.exchange(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn http_1_keeps_its_connection() {
    let server = start(ServerLimits::default()).await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(server.connect().await)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get("/health/ready").header("host", "x").body(Body::empty()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn http_2_without_tls() {
    let server = start(ServerLimits::default()).await;
    let stream = TokioIo::new(server.connect().await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let asked = (0..20).map(|_| {
        let mut sender = sender.clone();
        async move {
            let request = Request::get("http://x//pins/").body(Body::empty()).unwrap();
            sender.send_request(request).await.unwrap().status()
        }
    });
    assert_eq!(futures::future::join_all(asked).await, vec![StatusCode::UNAUTHORIZED; 20]);
}

#[tokio::test]
async fn a_flood_of_headers_is_cut_off() {
    let server = start(ServerLimits::default()).await;
    let many = (0..2_000).map(|number| format!("x-{number}: y\r\n")).collect::<Vec<_>>().concat();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    for (path, headers) in [("pins", many), ("pins", long), (&"p".repeat(70_000), String::new())] {
        let answer = server.exchange(format!("GET /{path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        server.still_answers().await;
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_too_much_is_refused_at_once() {
    let server = start(ServerLimits::default()).await;
    let asked = |length: usize| {
        let token = &server.token;
        let headers = format!("host: x\r\nauthorization: Bearer {token}\r\nexpect: 100-continue");
        format!("POST /pins HTTP/1.1\r\n{headers}\r\ncontent-length: {length}\r\n\r\n")
    };
    let refused = server.exchange(asked(10_000_000).as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("BODY_TOO_LARGE"), "{refused}");
    let heard = server.exchange(asked(10).as_bytes()).await;
    assert!(heard.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408"), "{heard}");
}

#[tokio::test]
async fn a_client_that_announces_too_much_is_refused_before_it_has_sent_it() {
    let server = start(ServerLimits::default()).await;
    let headers = format!("host: x\r\nauthorization: Bearer {}\r\ncontent-length: 10000000", server.token);
    let refused = server.exchange(format!("POST /pins HTTP/1.1\r\n{headers}\r\n\r\n{{").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("BODY_TOO_LARGE"), "{refused}");
}

#[tokio::test]
async fn a_refusal_does_not_overtake_the_body() {
    let server = start(ServerLimits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /pins HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").await.unwrap();
    let answered = tokio::time::timeout(SHORT, stream.peek(&mut [0])).await;
    assert!(answered.is_err(), "it was answered while the body was on its way");
    stream.write_all(b"{\"cid\":1}GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 401") && answers.contains("HTTP/1.1 200"), "{answers}");
}

#[tokio::test]
async fn what_is_no_http_is_cut_off() {
    let server = start(ServerLimits::default()).await;
    for noise in [
        &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answer = server.exchange(noise).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    server.still_answers().await;
}

#[tokio::test]
async fn slow_clients_are_not_waited_for() {
    let limits = ServerLimits { header_timeout: SHORT, silence: 2 * SHORT, ..ServerLimits::default() };
    let server = start(limits).await;
    for unfinished in [&b""[..], b"P", b"GET /pins HT", b"GET /pins HTTP/1.1\r\nhost: x\r\nx: "] {
        let answer = server.exchange(unfinished).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    server.still_answers().await;
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_is_bounded() {
    let server = start(ServerLimits { drain: SHORT, ..ServerLimits::default() }).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    // One that never finishes its request must not hold the shutdown up.
    let mut stuck = server.connect().await;
    stuck.write_all(b"POST /pins HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").await.unwrap();
    server.state.drain();
    server.stop.send(()).unwrap();
    server.ended.await.unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}
