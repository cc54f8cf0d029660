//! A worker over storage in memory and a scripted backend, with clocks that only the test moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use pinrail_domain::{
    AccountId, Backend, Limits, NewPinRequest, NodeId, PinRequest, Policy, RequestId, Role, RootView, TokenId,
};
use pinrail_spec::{Cid, Multiaddr, Pin, RootKey, Timestamp};
use pinrail_storage::{Accounts, NewAccount, PinRequests, StorageError};
use pinrail_storage_conformance::{MemoryStorage, TestClock};
use tokio::time::{Instant, timeout_at};

use super::backend::ScriptedBackend;
use crate::run::Worker;

pub const PEER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

pub struct Scene {
    pub clock: Arc<TestClock>,
    pub storage: Arc<MemoryStorage>,
    pub backend: Arc<ScriptedBackend>,
    pub worker: Worker,
    made: u8,
}

impl Scene {
    /// A registered worker that has taken its first step.
    pub async fn new() -> Self {
        Self::with_policy(Policy::default()).await
    }

    pub async fn with_policy(policy: Policy) -> Self {
        want_every_line();
        let clock = Arc::new(TestClock::at(Timestamp::from_millis(1_700_000_000_000)));
        let storage = Arc::new(MemoryStorage::with_clock(&clock));
        let backend = ScriptedBackend::new(address(4401));
        let worker = worker(&storage, &backend, policy);
        let mut scene = Self { clock, storage, backend, worker, made: 0 };
        scene.step().await;
        scene
    }

    /// The same after the worker was started anew.
    pub fn restarted(self) -> Self {
        let worker = worker(&self.storage, &self.backend, Policy::default());
        Self { worker, ..self }
    }

    /// An account with these limits.
    pub async fn account(&mut self, limits: Limits) -> AccountId {
        let id = AccountId::new(self.clock.now(), self.random());
        let account =
            NewAccount { id, name: format!("account {}", self.made), email: None, role: Role::Pinner, limits };
        self.storage.add_account(&account, self.clock.now()).await.expect("a free name");
        id
    }

    /// An account that may have anything.
    pub async fn any_account(&mut self) -> AccountId {
        self.account(Limits::UNLIMITED).await
    }

    /// Ask for `root` to be pinned.
    pub async fn post(&mut self, account: AccountId, root: &RootKey) -> PinRequest {
        self.post_from(account, root, Vec::new()).await
    }

    /// Ask for `root` to be pinned from these origins.
    pub async fn post_from(&mut self, account: AccountId, root: &RootKey, origins: Vec<Multiaddr>) -> PinRequest {
        let request = self.request(account, root, origins);
        self.storage.add_pin_request(&request, self.clock.now()).await.expect("it is accepted")
    }

    pub fn request(&mut self, account: AccountId, root: &RootKey, origins: Vec<Multiaddr>) -> NewPinRequest {
        let cid = root.to_cid().expect("a root that a test made").to_string();
        let pin = Pin { cid: Cid::parse(&cid).expect("a CID"), name: None, origins, meta: BTreeMap::new() };
        let now = self.clock.now();
        NewPinRequest { id: RequestId::new(now, self.random()), account, token: TokenId::new(now, self.random()), pin }
    }

    pub async fn replace(&mut self, old: &PinRequest, root: &RootKey) -> PinRequest {
        let request = self.request(old.account, root, Vec::new());
        let now = self.clock.now();
        let replaced = self.storage.replace_pin_request(&old.id, &request, now).await.expect("it is accepted");
        replaced.expect("the old one is there")
    }

    pub async fn remove(&self, request: &PinRequest) {
        let removed = self.storage.remove_pin_request(&request.account, &request.id, self.clock.now()).await;
        assert_eq!(removed, Ok(true));
    }

    /// What a reader is told of a request now.
    pub async fn read(&self, request: &PinRequest) -> PinRequest {
        let found = self.storage.find_pin_request(&request.account, &request.id, self.clock.now()).await;
        found.expect("storage answers").expect("the request is there")
    }

    pub async fn root(&self, request: &PinRequest) -> RootView {
        self.read(request).await.root
    }

    /// Let everything that can go on go on, then take a step, and let what it began go on.
    pub async fn step(&mut self) {
        self.idle().await;
        self.try_step().await.expect("storage answers");
        self.idle().await;
    }

    pub async fn try_step(&mut self) -> Result<(), StorageError> {
        self.worker.step(true).await
    }

    /// Let the worker go on by itself for so long, as its loop does; how many steps it took.
    pub async fn run_for(&mut self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut steps = 0;
        while Instant::now() < end {
            if timeout_at(end, self.worker.wait()).await.is_ok() {
                self.worker.try_step(true).await;
                steps += 1;
            }
        }
        self.clock.advance(time);
        steps
    }

    /// Stop the worker with no time to end anything.
    pub async fn drain(&mut self) {
        self.worker.drain(Instant::now()).await;
    }

    /// Take a step so much later.
    pub async fn step_after(&mut self, time: Duration) {
        self.advance(time).await;
        self.step().await;
    }

    /// Move both clocks.
    pub async fn advance(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::advance(time).await;
    }

    /// Time stands still, so this returns only once nothing else can go on.
    pub async fn idle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn random(&mut self) -> [u8; 10] {
        self.made += 1;
        [self.made; 10]
    }
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

/// What is logged from now on by this thread.
pub fn listen() -> Said {
    let lines = Lines::default();
    let written = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone()).finish();
    Said { lines, _listens: tracing::subscriber::set_default(subscriber) }
}

/// What was logged since somebody listens.
pub struct Said {
    lines: Lines,
    _listens: tracing::subscriber::DefaultGuard,
}

impl Said {
    pub fn lines(&self) -> Vec<String> {
        let bytes = self.lines.0.lock().expect("no test panics with it");
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A worker for a node of its own.
pub fn worker(storage: &Arc<MemoryStorage>, backend: &Arc<ScriptedBackend>, policy: Policy) -> Worker {
    let node = NodeId::new(Timestamp::from_millis(0), [7; 10]);
    Worker::new(Arc::clone(storage) as _, Arc::clone(backend) as _, node, Backend::Embedded, policy, Box::new(|| 0.0))
}

/// A root of its own for each number: the SHA-256 multihash of a digest that says the number.
pub fn root(number: u8) -> RootKey {
    let multihash = [&[0x12, 0x20][..], &[number; 32][..]].concat();
    RootKey { codec: 0x55, multihash }
}

pub fn address(port: u16) -> Multiaddr {
    Multiaddr::parse(&format!("/ip4/127.0.0.1/tcp/{port}/p2p/{PEER}")).expect("a multiaddr")
}
