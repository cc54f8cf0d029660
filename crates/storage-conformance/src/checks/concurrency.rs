//! Everything at once on a few roots, and a recount afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_domain::{AccountId, LeaseTask, NewPinRequest, NodeId, RequestId, TokenId, Verdict};
use pinrail_spec::{Pin, RootKey, Status, Timestamp};
use pinrail_storage::{Settlement, Storage, StorageError};
use uuid::Uuid;

use crate::Fixture;
use crate::dice::Dice;
use crate::fixture::{LEASE, SLOTS};
use crate::samples::{cid, counted, everything, failed, pin, pinned, retry, wait};

/// How many steps each task takes.
const STEPS: u64 = 60;

/// One of the tasks: its storage, its account, and its dice.
struct Task {
    storage: Arc<dyn Storage>,
    account: AccountId,
    node: NodeId,
    now: Timestamp,
    serial: Arc<AtomicU64>,
    dice: Dice,
    own: Vec<RequestId>,
}

impl Task {
    async fn run(mut self, steps: u64) {
        for _ in 0..steps {
            match self.dice.roll(8) {
                0..3 => self.add().await,
                3..5 => self.remove().await,
                5 => self.replace().await,
                _ => self.work().await,
            }
            tokio::task::yield_now().await;
        }
    }

    fn new_request(&mut self) -> NewPinRequest {
        let mut bytes = [0xff; 10];
        bytes[2..].copy_from_slice(&self.serial.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        NewPinRequest {
            id: RequestId::new(self.now, bytes),
            account: self.account,
            token: TokenId::from_uuid(Uuid::from_u128(1)),
            pin: self.any_pin(),
        }
    }

    /// The one root that all tasks fight for, now and then its neighbour.
    fn any_pin(&mut self) -> Pin {
        pin(u64::from(self.dice.roll(4) == 0))
    }

    async fn add(&mut self) {
        let request = self.new_request();
        let added = self.storage.add_pin_request(&request, self.now).await.expect("there is room");
        self.own.push(added.id);
    }

    async fn remove(&mut self) {
        let Some(id) = self.own.pop() else { return };
        // Another task of the account shares none of its ids, so its own are there until it removes them.
        assert!(self.storage.remove_pin_request(&self.account, &id, self.now).await.expect("it is removed"));
    }

    async fn replace(&mut self) {
        let Some(id) = self.own.pop() else { return };
        let request = self.new_request();
        let replaced = self.storage.replace_pin_request(&id, &request, self.now).await.expect("it is replaced");
        self.own.push(replaced.expect("it was there").id);
    }

    /// Be a worker: take what is due, and settle it in one of the ways that fit.
    async fn work(&mut self) {
        let until = self.now + LEASE;
        let leases = self.storage.lease_due(&self.node, self.now, until, 2, SLOTS).await.expect("roots are leased");
        tokio::task::yield_now().await;
        for lease in leases {
            let verdict = match (&lease.task, self.dice.roll(4)) {
                (LeaseTask::Release, _) => Verdict::Released,
                (LeaseTask::Pin { .. }, 0) => failed(),
                (LeaseTask::Pin { .. }, 1) => retry(self.now),
                (LeaseTask::Pin { .. }, 2) => wait(self.now),
                (LeaseTask::Pin { .. }, _) => pinned(10),
            };
            let settlement = Settlement { lease: lease.key, verdict };
            let outcomes = self.storage.settle(&[settlement], self.now).await.expect("leases are settled");
            assert!(matches!(outcomes[0], Ok(()) | Err(StorageError::LeaseLost)), "{outcomes:?}");
        }
    }
}

/// Requests, removals, replaces and settles on one root from eight tasks of three accounts; afterwards every count is
/// what a recount finds, what is wanted can be pinned, and what is not is released, once.
pub async fn eight_tasks_on_one_root(fixture: &Fixture) {
    let node = fixture.node(1).await;
    let accounts = [fixture.account("ada").await, fixture.account("bob").await, fixture.account("eve").await];
    let serial = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8_u64 {
        let task = Task {
            storage: Arc::clone(&fixture.storage),
            account: accounts[usize::try_from(number % 3).unwrap()],
            node,
            now: fixture.now(),
            serial: Arc::clone(&serial),
            dice: Dice::new(number),
            own: Vec::new(),
        };
        tasks.spawn(task.run(STEPS));
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.expect("no task failed");
    }
    fixture.copy_all_statuses().await;
    for account in &accounts {
        recount(fixture, account).await;
    }
    finish_what_is_due(fixture, &node).await;
    fixture.copy_all_statuses().await;
    all_is_pinned(fixture, &accounts).await;
    remove_all_and_release(fixture, &node, &accounts).await;
}

/// Counts, usage and the truth of each request agree with the list.
async fn recount(fixture: &Fixture, account: &AccountId) {
    let all = fixture.list(account, &everything()).await.requests;
    let mut counts = BTreeMap::<Status, u64>::new();
    for request in &all {
        *counts.entry(request.status).or_default() += 1;
        assert_eq!(fixture.find(account, &request.id).await.status, request.status, "the copy has caught up");
    }
    for status in Status::ALL {
        assert_eq!(fixture.count(account, status).await, counts.get(&status).copied().unwrap_or(0), "{status}");
    }
    let created = all.iter().map(|request| request.created).collect::<BTreeSet<_>>();
    assert_eq!(created.len(), all.len(), "each created is unique");
    let unfinished = all.iter().filter(|request| matches!(request.status, Status::Queued | Status::Pinning));
    let unfinished = unfinished.map(|request| request.pin.cid.root()).collect::<BTreeSet<_>>();
    let usage = fixture.usage(account).await;
    assert_eq!((usage.requests, usage.queued_roots), (all.len() as u64, unfinished.len() as u64));
}

/// Pin and release what is due until nothing is, once all leases of the tasks have run out.
async fn finish_what_is_due(fixture: &Fixture, node: &NodeId) {
    for _ in 0..10 {
        fixture.advance(LEASE);
        fixture.beat(node).await;
        let leases = fixture.lease(node, SLOTS).await;
        for lease in leases {
            let verdict = if lease.task == LeaseTask::Release { Verdict::Released } else { pinned(10) };
            fixture.settle(&lease, verdict).await;
        }
    }
    fixture.assert_nothing_due(node).await;
}

/// Every request is pinned, or has failed where the tasks left it failed; each account counts its roots once.
async fn all_is_pinned(fixture: &Fixture, accounts: &[AccountId]) {
    for account in accounts {
        recount(fixture, account).await;
        let all = fixture.list(account, &everything()).await.requests;
        assert!(all.iter().all(|request| matches!(request.status, Status::Pinned | Status::Failed)), "{all:?}");
        if all.iter().all(|request| request.status == Status::Pinned) {
            let roots = all.iter().map(|request| request.pin.cid.root()).collect::<BTreeSet<_>>();
            assert_eq!(fixture.usage(account).await.bytes, counted(&vec![10; roots.len()]));
        }
    }
}

/// With the last request the root is released, exactly once, and not before.
async fn remove_all_and_release(fixture: &Fixture, node: &NodeId, accounts: &[AccountId]) {
    let mut wanted = BTreeMap::<RootKey, u64>::new();
    let mut requests = Vec::new();
    for account in accounts {
        for request in fixture.list(account, &everything()).await.requests {
            *wanted.entry(request.pin.cid.root()).or_default() += 1;
            requests.push((*account, request));
        }
    }
    let mut released = BTreeSet::new();
    for (account, request) in requests {
        assert!(fixture.remove(&account, &request.id).await);
        *wanted.get_mut(&request.pin.cid.root()).unwrap() -= 1;
        for lease in fixture.lease(node, SLOTS).await {
            let left = wanted.get(&lease.key.root).copied().unwrap_or(0);
            assert_eq!((&lease.task, left), (&LeaseTask::Release, 0), "{lease:?}");
            assert!(released.insert(lease.key.root.clone()), "released once");
            fixture.settle(&lease, Verdict::Released).await;
        }
    }
    assert!(wanted.keys().all(|root| released.contains(root)), "what was wanted is released in the end");
    fixture.assert_nothing_due(node).await;
    for account in accounts {
        assert_eq!(fixture.usage(account).await, pinrail_domain::Usage::default());
        let anew = fixture.add(account, 0).await;
        assert_eq!((anew.status, anew.root.attempts, &anew.pin.cid), (Status::Queued, 0, &cid(0)));
    }
}
