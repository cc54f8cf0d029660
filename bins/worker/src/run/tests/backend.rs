//! A backend that does what a test scripted and notes what it was asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use pinrail_domain::{DagSize, Phase};
use pinrail_ipfs::{Held, IpfsBackend, IpfsError, PinJob};
use pinrail_spec::{Multiaddr, RootKey};
use tokio::sync::{Notify, mpsc};

/// What one pin call does.
#[derive(Debug, Clone)]
pub enum Act {
    /// Pin at once.
    Pin(DagSize),
    /// Fail at once.
    Fail(IpfsError),
    /// Report so much, then go on until the call is dropped.
    Fetch(DagSize),
    /// Report so much, and pin it when the test says so.
    PinWhenTold(DagSize),
    /// Break by a mistake of ours.
    Panic,
}

/// What was asked, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `pin` began.
    Pin { root: RootKey, previous: Option<RootKey> },
    /// `pin` was dropped before it ended.
    Dropped(RootKey),
    /// `pin` was told of these origins while it ran.
    Origins(Vec<Multiaddr>),
    /// `unpin`.
    Unpin(RootKey),
    /// `forget`.
    Forget(RootKey),
    /// `look_for`.
    LookFor(RootKey),
}

/// The scripted backend.
pub struct ScriptedBackend {
    acts: Mutex<HashMap<RootKey, VecDeque<Act>>>,
    calls: Mutex<Vec<Call>>,
    pub held: Mutex<HashSet<RootKey>>,
    pub told: Notify,
    pub addresses: Mutex<Vec<Multiaddr>>,
    fellows: Mutex<Vec<Multiaddr>>,
    find: mpsc::UnboundedSender<RootKey>,
    found: tokio::sync::Mutex<mpsc::UnboundedReceiver<RootKey>>,
}

impl ScriptedBackend {
    pub fn new(address: Multiaddr) -> Arc<Self> {
        let (find, found) = mpsc::unbounded_channel();
        Arc::new(Self {
            acts: Mutex::default(),
            calls: Mutex::default(),
            held: Mutex::default(),
            told: Notify::new(),
            addresses: Mutex::new(vec![address]),
            fellows: Mutex::default(),
            find,
            found: tokio::sync::Mutex::new(found),
        })
    }

    /// Let the next pin calls of `root` do this, one after another; without a script a call pins one block.
    pub fn script(&self, root: &RootKey, acts: impl IntoIterator<Item = Act>) {
        lock(&self.acts).entry(root.clone()).or_default().extend(acts);
    }

    /// What was asked since the last time.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *lock(&self.calls))
    }

    /// A peer that has `root` connects.
    pub fn find(&self, root: &RootKey) {
        self.find.send(root.clone()).expect("the backend is alive");
    }

    /// The fellows that it was told of last.
    pub fn fellows(&self) -> Vec<Multiaddr> {
        lock(&self.fellows).clone()
    }

    pub fn holds(&self, root: &RootKey) -> bool {
        lock(&self.held).contains(root)
    }

    fn note(&self, call: Call) {
        lock(&self.calls).push(call);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds a lock")
}

/// Notes that a pin call was dropped, unless it ended.
struct Running<'a> {
    backend: &'a ScriptedBackend,
    root: Option<RootKey>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(root) = self.root.take() {
            self.backend.note(Call::Dropped(root));
        }
    }
}

#[async_trait]
impl IpfsBackend for ScriptedBackend {
    async fn pin(&self, mut job: PinJob) -> Result<DagSize, IpfsError> {
        self.note(Call::Pin { root: job.root.clone(), previous: job.previous.clone() });
        let act = lock(&self.acts).get_mut(&job.root).and_then(VecDeque::pop_front);
        let mut running = Running { backend: self, root: Some(job.root.clone()) };
        let result = match act.unwrap_or(Act::Pin(DagSize { blocks: 1, bytes: 5 })) {
            Act::Pin(pinned) => Ok(pinned),
            Act::Fail(error) => Err(error),
            Act::Panic => panic!("scripted"),
            Act::Fetch(pinned) => {
                job.progress.send_replace(pinned);
                loop {
                    job.origins.changed().await.expect("the worker keeps its end");
                    self.note(Call::Origins(job.origins.borrow_and_update().clone()));
                }
            }
            Act::PinWhenTold(pinned) => {
                job.progress.send_replace(pinned);
                self.told.notified().await;
                Ok(pinned)
            }
        };
        running.root = None;
        if result.is_ok() {
            lock(&self.held).insert(job.root);
        }
        result
    }

    async fn unpin(&self, root: &RootKey, _epoch: u64) -> Result<(), IpfsError> {
        lock(&self.held).remove(root);
        self.note(Call::Unpin(root.clone()));
        Ok(())
    }

    async fn status(&self, _root: &RootKey) -> Result<Held, IpfsError> {
        Ok(Held::Not)
    }

    async fn delegates(&self) -> Result<Vec<Multiaddr>, IpfsError> {
        Ok(lock(&self.addresses).clone())
    }

    async fn peer_id(&self) -> Result<String, IpfsError> {
        Ok("12D3KooWScripted".to_owned())
    }

    async fn import(&self, _car: &Path) -> Result<Vec<RootKey>, IpfsError> {
        Err(IpfsError::unavailable(Phase::Storing, "not scripted"))
    }

    async fn set_fellows(&self, fellows: &[Multiaddr]) {
        *lock(&self.fellows) = fellows.to_vec();
    }

    async fn look_for(&self, roots: &[RootKey]) {
        for root in roots {
            self.note(Call::LookFor(root.clone()));
        }
    }

    async fn forget(&self, roots: &[RootKey]) {
        for root in roots {
            self.note(Call::Forget(root.clone()));
        }
    }

    async fn next_found(&self) -> RootKey {
        self.found.lock().await.recv().await.expect("the sender lives as long")
    }

    async fn collect(&self) -> Result<bool, IpfsError> {
        Ok(false)
    }

    async fn ready(&self) -> Result<(), IpfsError> {
        Ok(())
    }
}
