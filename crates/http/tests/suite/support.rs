//! A service over a storage, with accounts, tokens and a worker's answers: what every test here begins with.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use pinrail_domain::{
    Access, AccountId, Backend, DagSize, FailureReason, LeaseTask, Limits, MintRequest, NodeId, Phase, Role,
    RootFailure, Scopes, SigningKey, TokenId, Verdict, mint,
};
use pinrail_http::{Settings, State, router};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::{NewAccount, NodeRegistration, Settlement, Storage};
use pinrail_storage_conformance::TestClock;
use serde_json::Value;
use tower::ServiceExt;

/// The peer id of the node that holds everything.
pub const PEER: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

/// Where each test's clock stands at first: 2021-07-14T19:27:14.000Z.
pub const START: Timestamp = Timestamp::from_millis(1_626_290_834_000);

/// A pinning service without a socket, the storage behind it, and a clock that stands still.
pub struct Api {
    pub router: Router,
    pub state: State,
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<TestClock>,
    pub key: Arc<SigningKey>,
    pub node: NodeId,
    kept: Arc<dyn Any + Send + Sync>,
}

/// An account and a token of it.
#[derive(Clone)]
pub struct Person {
    pub account: AccountId,
    pub id: TokenId,
    pub token: String,
}

static DRAWN: AtomicU64 = AtomicU64::new(1);

/// Bytes that no other call in this process gets.
pub fn unique<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    bytes[N - 8..].copy_from_slice(&drawn);
    bytes
}

/// Have somebody want every line of the log. One that nobody wants when it is first met, in a thread where nobody
/// listens, could stay unwanted although a test begins to listen in another thread just then.
fn want_every_line() {
    static WANTED: Once = Once::new();
    WANTED.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry())
            .expect("nobody else listens everywhere");
    });
}

impl Api {
    /// A service over a fresh storage, with private origins allowed.
    pub async fn new() -> Self {
        Self::with(Settings { allow_private_origins: true, ..Settings::default() }).await
    }

    pub async fn with(settings: Settings) -> Self {
        let api = Self::without_node(settings).await;
        let address = Multiaddr::parse(&format!("/ip4/127.0.0.1/tcp/4401/p2p/{PEER}")).unwrap();
        let registration = NodeRegistration {
            id: api.node,
            backend: Backend::Embedded,
            peer_id: PEER.to_owned(),
            addresses: vec![address],
        };
        api.storage.register_node(&registration, api.clock.now()).await.unwrap();
        api
    }

    /// A service for which no worker ever ran.
    pub async fn without_node(settings: Settings) -> Self {
        want_every_line();
        let clock = Arc::new(TestClock::at(START));
        let (storage, kept) = crate::storage::fresh(&clock).await;
        let key = Arc::new(SigningKey::new(1, unique()));
        storage.add_key(&key.public(clock.now())).await.unwrap();
        let node = NodeId::new(clock.now(), unique());
        let state = serve(&storage, &clock, settings).await;
        Self { router: router(state.clone()), state, storage, clock, key, node, kept: Arc::from(kept) }
    }

    /// The same service in another process, with a storage of its own on the same database.
    pub async fn another_process(&self) -> Self {
        let storage = crate::storage::again(&*self.kept, &self.clock).await;
        let state = serve(&storage, &self.clock, Settings::default()).await;
        let (clock, key, kept) = (Arc::clone(&self.clock), Arc::clone(&self.key), Arc::clone(&self.kept));
        Self { router: router(state.clone()), state, storage, clock, key, node: self.node, kept }
    }

    /// An account that may pin, with a token for everything that a pinner does.
    pub async fn pinner(&self) -> Person {
        let person = self.newcomer(Limits::STANDARD).await;
        let access = Access { since: self.clock.now(), by: "operator".to_owned(), until: None };
        self.storage.set_access(&person.account, Some(&access), None, self.clock.now()).await.unwrap();
        person
    }

    /// An account without pinning access.
    pub async fn newcomer(&self, limits: Limits) -> Person {
        let account = AccountId::new(self.clock.now(), unique());
        let name = format!("account-{account}");
        let new = NewAccount { id: account, name, email: None, role: Role::Pinner, limits };
        self.storage.add_account(&new, self.clock.now()).await.unwrap();
        self.token(account, Scopes::pins(), None).await
    }

    /// Another token of an account.
    pub async fn token(&self, account: AccountId, scopes: Scopes, expires: Option<Timestamp>) -> Person {
        let id = TokenId::new(self.clock.now(), unique());
        let request = MintRequest {
            service: self.storage.service_id().await.unwrap(),
            account,
            token: id,
            name: "test".to_owned(),
            scopes,
            expires,
            created: self.clock.now(),
        };
        let minted = mint(&request, &self.key, unique()).unwrap();
        self.storage.add_token(&minted.record).await.unwrap();
        Person { account, id, token: minted.text }
    }

    pub async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Send with the person's token; an empty body is no body.
    pub async fn send(&self, person: &Person, method: Method, path: &str, body: impl Into<String>) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {}", person.token));
        self.call(request.body(Body::from(body.into())).unwrap()).await
    }

    pub async fn get(&self, person: &Person, path: &str) -> Answer {
        self.send(person, Method::GET, path, "").await
    }

    pub async fn delete(&self, person: &Person, path: &str) -> Answer {
        self.send(person, Method::DELETE, path, "").await
    }

    pub async fn post(&self, person: &Person, path: &str, body: &Value) -> Answer {
        self.send(person, Method::POST, path, body.to_string()).await
    }

    /// Add a pin and return its `PinStatus`.
    pub async fn add(&self, person: &Person, pin: &Value) -> Value {
        let answer = self.post(person, "/pins", pin).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        answer.json()
    }

    /// List, and return the page.
    pub async fn list(&self, person: &Person, query: &str) -> Value {
        let answer = self.get(person, &format!("/pins?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        answer.json()
    }

    /// Do what a worker would: take every due root, and settle it as `verdict` says.
    pub async fn work(&self, verdict: impl Fn() -> Verdict) {
        let now = self.clock.now();
        let until = now + Duration::from_mins(1);
        loop {
            let leases = self.storage.lease_due(&self.node, now, until, 64, 64).await.unwrap();
            if leases.is_empty() {
                break;
            }
            let settlements = leases.into_iter().map(|lease| {
                let release = lease.task == LeaseTask::Release;
                Settlement { lease: lease.key, verdict: if release { Verdict::Released } else { verdict() } }
            });
            for settled in self.storage.settle(&settlements.collect::<Vec<_>>(), now).await.unwrap() {
                settled.unwrap();
            }
        }
        while self.storage.copy_statuses().await.unwrap() {}
    }

    /// Call every due root pinned.
    pub async fn pin_all(&self) {
        self.work(|| Verdict::Pinned { size: DagSize { blocks: 3, bytes: 1_000 } }).await;
    }

    /// Give every due root up.
    pub async fn fail_all(&self) {
        let details = "no peer has it, connect one that does".to_owned();
        let failure =
            RootFailure { phase: Phase::Finding, reason: FailureReason::NoProviderFound, details, missing: None };
        self.work(|| Verdict::Failed { failure: failure.clone() }).await;
    }

    /// Begin every due root and leave it unfinished.
    pub async fn begin_all(&self) {
        let now = self.clock.now();
        let until = now + Duration::from_hours(1);
        while !self.storage.lease_due(&self.node, now, until, 64, 1_000).await.unwrap().is_empty() {}
        while self.storage.copy_statuses().await.unwrap() {}
    }
}

async fn serve(storage: &Arc<dyn Storage>, clock: &Arc<TestClock>, settings: Settings) -> State {
    let service = storage.service_id().await.unwrap();
    let clock = Arc::clone(clock);
    State::new(Arc::clone(storage), service, Arc::new(move || clock.now()), Arc::new(unique), settings)
}

/// What was answered. Two are equal if they tell a client the same: the ids of their requests are not compared.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        let told = |answer: &Self| {
            let mut headers = answer.headers.clone();
            headers.remove("x-request-id");
            (answer.status, headers, answer.body.clone())
        };
        told(self) == told(other)
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Check that this is a failure as every client can read it, and return what it says.
    #[track_caller]
    pub fn failure(&self, status: u16, reason: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        let error = body["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["details", "reason"], "{body}");
        assert_eq!(error["reason"], reason, "{body}");
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401);
        error["details"].as_str().unwrap().to_owned()
    }
}

/// The CID of the codec `code` whose content nobody has, a different one for each `number`.
pub fn cid_of(code: u64, number: u32) -> String {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    cid::Cid::new_v1(code, multihash::Multihash::wrap(0x12, &digest).unwrap()).to_string()
}

/// The CID of some raw content that nobody has.
pub fn cid(number: u32) -> String {
    cid_of(0x55, number)
}

/// Check that a value is a `PinStatus` and nothing more.
#[track_caller]
pub fn assert_pin_status(status: &Value) {
    assert_keys(status, &["requestid", "status", "created", "pin", "delegates"], &["info"]);
    assert!(status["requestid"].is_string());
    let known = ["queued", "pinning", "pinned", "failed"];
    assert!(known.contains(&status["status"].as_str().unwrap()), "{status}");
    let created = status["created"].as_str().unwrap();
    assert_eq!(Timestamp::parse_floor(created).unwrap().to_string(), created);
    let delegates = status["delegates"].as_array().unwrap();
    assert!((1..=20).contains(&delegates.len()), "{status}");
    for delegate in delegates {
        Multiaddr::parse(delegate.as_str().unwrap()).unwrap();
    }
    assert_keys(&status["pin"], &["cid"], &["name", "origins", "meta"]);
    assert!(status["pin"]["cid"].is_string());
    for (field, is_right) in [
        ("name", Value::is_string as fn(&Value) -> bool),
        ("origins", |origins| {
            origins.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string))
        }),
        ("meta", is_pairs),
    ] {
        assert!(status["pin"].get(field).is_none_or(is_right), "{status}");
    }
    assert!(status.get("info").is_none_or(is_pairs), "{status}");
}

/// Check that a value is a `PinResults` with this count, and return its results.
#[track_caller]
pub fn assert_page(page: &Value, count: u64) -> Vec<Value> {
    assert_keys(page, &["count", "results"], &[]);
    assert_eq!(page["count"], count, "{page}");
    let results = page["results"].as_array().unwrap();
    results.iter().for_each(assert_pin_status);
    results.clone()
}

fn is_pairs(value: &Value) -> bool {
    value.as_object().is_some_and(|pairs| !pairs.is_empty() && pairs.values().all(Value::is_string))
}

#[track_caller]
fn assert_keys(value: &Value, wanted: &[&str], optional: &[&str]) {
    let fields = value.as_object().unwrap();
    for key in wanted {
        assert!(fields.contains_key(*key), "{key} is missing in {value}");
    }
    for key in fields.keys() {
        assert!(wanted.contains(&key.as_str()) || optional.contains(&key.as_str()), "{key} is too much in {value}");
    }
}
