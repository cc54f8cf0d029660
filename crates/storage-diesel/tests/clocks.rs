//! The clock of a SQLite database: noted with what is written at it, and never below that again.

mod database;

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use pinrail_domain::{AccountId, Backend, Limits, NewPinRequest, NodeId, PinRequest, RequestId, Role, TokenId};
use pinrail_spec::{Cid, Multiaddr, Pin, PinFilter, Status, Timestamp};
use pinrail_storage::{Accounts, NewAccount, NodeRegistration, Nodes, PinRequests, RootQueue, Storage};
use pinrail_storage_conformance::TestClock;
use pinrail_storage_diesel::{Database as Named, SqliteStorage, TimeSource, repair_clock};

use database::Database;

const PEER: &str = "/ip4/203.0.113.1/tcp/4401/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";
const START: Timestamp = Timestamp::from_millis(1_795_410_000_000);
const A_SECOND: Duration = Duration::from_secs(1);
const AN_HOUR: Duration = Duration::from_hours(1);
const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);
const A_LEASE: Duration = Duration::from_mins(1);

/// A database with an account and a node, as two processes use it.
struct Scene {
    database: Database,
    api_clock: Arc<TestClock>,
    api: SqliteStorage,
    worker_clock: Arc<TestClock>,
    worker: SqliteStorage,
    account: AccountId,
    node: NodeId,
}

impl Scene {
    async fn new() -> Self {
        let database = Database::new();
        let (api_clock, api) = open(&database, START).await;
        let (worker_clock, worker) = open(&database, START).await;
        let (account, node) = (AccountId::new(START, [1; 10]), NodeId::new(START, [2; 10]));
        let limits = Limits::UNLIMITED;
        let new = NewAccount { id: account, name: "ada".to_owned(), email: None, role: Role::Pinner, limits };
        api.add_account(&new, START).await.expect("the account is added");
        let addresses = vec![Multiaddr::parse(PEER).expect("a multiaddr")];
        let registration =
            NodeRegistration { id: node, backend: Backend::Embedded, peer_id: "peer".to_owned(), addresses };
        worker.register_node(&registration, START).await.expect("the node is registered");
        Self { database, api_clock, api, worker_clock, worker, account, node }
    }

    /// The api adds a request for a root of its own, by its own clock.
    async fn add(&self, number: u8) -> PinRequest {
        let cid = Cid::parse(&format!("f01551220{number:064x}")).expect("a CID in base16");
        let (id, token) = (RequestId::new(START, [number; 10]), TokenId::new(START, [1; 10]));
        let pin =
            Pin { cid, name: None, origins: Vec::new(), meta: [("number".to_owned(), number.to_string())].into() };
        let request = NewPinRequest { id, account: self.account, token, pin };
        self.api.add_pin_request(&request, self.api_clock.now()).await.expect("it is added")
    }

    /// The worker takes what is due by the database's clock: when each was wanted.
    async fn lease(&self) -> Vec<Timestamp> {
        let now = self.worker.now().await.expect("the clock is read");
        let leases = self.worker.lease_due(&self.node, now, now + A_LEASE, 10, 1_000).await.expect("leases");
        leases.into_iter().map(|lease| lease.wanted_since).collect()
    }
}

/// Open it on a machine whose clock stands at `now`.
async fn open(database: &Database, now: Timestamp) -> (Arc<TestClock>, SqliteStorage) {
    let clock = Arc::new(TestClock::at(now));
    let shown = Arc::clone(&clock);
    let storage = database.open_with(TimeSource::Database, Arc::new(move || shown.now())).await;
    (clock, storage)
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

/// Counts the commits of others.
struct Watch {
    connection: SqliteConnection,
    seen: i64,
}

impl Watch {
    fn of(database: &Database) -> Self {
        let path = database.path();
        let connection = SqliteConnection::establish(&path.to_string_lossy()).expect("the file is opened");
        let mut watch = Self { connection, seen: 0 };
        watch.has_changed();
        watch
    }

    /// Whether anything was committed since the last time.
    fn has_changed(&mut self) -> bool {
        let version: Version =
            diesel::sql_query("PRAGMA data_version").get_result(&mut self.connection).expect("it is read");
        std::mem::replace(&mut self.seen, version.data_version) != version.data_version
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_and_changes_nothing_writes_nothing() {
    let scene = Scene::new().await;
    let mut watch = Watch::of(&scene.database);
    for second in 1..=60 {
        scene.worker_clock.advance(A_SECOND);
        assert_eq!(scene.lease().await, []);
        scene.worker.expire_holds(scene.worker_clock.now()).await.expect("none");
        scene.worker.copy_statuses().await.expect("none");
        assert!(!watch.has_changed(), "after {second} s");
    }
    scene.worker.beat(&scene.node, scene.worker_clock.now()).await.expect("it is registered");
    assert!(watch.has_changed(), "a sign of life is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_never_below_what_was_stored() {
    let scene = Scene::new().await;
    let beat = scene.worker_clock.advance(AN_HOUR);
    scene.worker.beat(&scene.node, beat).await.expect("it is registered");
    scene.worker_clock.advance(A_SECOND);
    assert_eq!(scene.lease().await, [], "this is not noted");
    scene.worker_clock.put_back(AN_HOUR);
    for storage in [&scene.worker, &scene.api] {
        assert_eq!(storage.now().await, Ok(beat));
    }
    let added = scene.add(1).await;
    assert!(!added.root.node_silent);
    assert_eq!(scene.lease().await, [beat], "wanted when it was due by the database's clock");
    let until = beat + A_LEASE;
    scene.worker_clock.advance(AN_HOUR);
    assert_eq!(scene.lease().await, [], "the lease stands until {until}");
    scene.worker_clock.advance(A_LEASE);
    assert_eq!(scene.lease().await, [beat], "and runs out then");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_makes_nobody_wait() {
    let scene = Scene::new().await;
    let ahead = scene.api_clock.advance(AN_HOUR);
    scene.add(1).await;
    assert_eq!(scene.worker.now().await, Ok(ahead), "it is the database's now");
    assert_eq!(scene.lease().await, [ahead]);
    let beat = scene.worker.now().await.expect("the clock is read");
    scene.worker.beat(&scene.node, beat).await.expect("it is registered");
    assert!(!scene.add(2).await.root.node_silent);
    assert_eq!(scene.lease().await, [ahead]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind_takes_no_silent_node_for_a_live_one() {
    let scene = Scene::new().await;
    let now = scene.worker_clock.advance(AN_HOUR);
    let other = NodeRegistration {
        id: NodeId::new(START, [3; 10]),
        backend: Backend::Embedded,
        peer_id: "other".to_owned(),
        addresses: vec![Multiaddr::parse(&PEER.replace("4401", "4402")).expect("a multiaddr")],
    };
    scene.worker.register_node(&other, now).await.expect("the node is registered");
    // An hour ago the first one was live.
    let added = scene.add(1).await;
    assert_eq!((&added.delegates, added.root.node_silent), (&other.addresses, false));
    assert_eq!((added.created, added.as_of), (now, now));
    scene.worker.retire_node(&other.id, now).await.expect("it is registered");
    let shown = scene.api.find_pin_request(&scene.account, &added.id, scene.api_clock.now()).await;
    assert!(shown.expect("it is read").expect("it is there").root.node_silent);
    let unblocked = scene.api.set_blocked(&scene.account, Some("spam"), scene.api_clock.now()).await;
    unblocked.expect("it is blocked");
    scene.api.set_blocked(&scene.account, None, scene.api_clock.now()).await.expect("it is unblocked");
    scene.worker.beat(&scene.node, now).await.expect("it is registered");
    assert_eq!(scene.lease().await, [now], "its time limit counts from then by the database's clock");
}

impl Scene {
    /// Both machines' clocks are ahead by ten years while a pin is added and leased, and are put right.
    async fn ahead_once(&self) -> Timestamp {
        for clock in [&self.api_clock, &self.worker_clock] {
            clock.advance(TEN_YEARS);
        }
        self.add(1).await;
        assert!(!self.lease().await.is_empty());
        self.beat().await;
        for clock in [&self.api_clock, &self.worker_clock] {
            clock.put_back(TEN_YEARS);
        }
        assert_eq!(self.worker.now().await, self.api.now().await);
        self.worker.now().await.expect("the clock is read")
    }

    async fn beat(&self) {
        let now = self.worker.now().await.expect("the clock is read");
        self.worker.beat(&self.node, now).await.expect("it is registered");
    }

    /// Time passes for both.
    fn pass(&self, time: Duration) {
        self.api_clock.advance(time);
        self.worker_clock.advance(time);
    }

    async fn list(&self, filter: PinFilter) -> Vec<PinRequest> {
        let now = self.api_clock.now();
        self.api.list_pin_requests(&self.account, &filter, now).await.expect("requests are listed").requests
    }
}

fn everything() -> PinFilter {
    PinFilter {
        roots: Vec::new(),
        name: None,
        statuses: Status::ALL.to_vec(),
        before: None,
        after: None,
        meta: [].into(),
        limit: 1_000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_goes_on_where_a_clock_was_ten_years_ahead() {
    let scene = Scene::new().await;
    let reached = scene.ahead_once().await;
    assert_eq!(reached, START + TEN_YEARS);
    scene.pass(A_SECOND);
    let added = scene.add(2).await;
    assert_eq!(added.created, reached + A_SECOND);
    assert_eq!(scene.lease().await, [reached + A_SECOND]);
    for _ in 0..7 {
        scene.pass(10 * A_SECOND);
        scene.beat().await;
    }
    assert_eq!(scene.worker.now().await, Ok(reached + 71 * A_SECOND));
    assert_eq!(scene.lease().await.len(), 2, "both leases have run out");
    // Another process goes on from what was stored, and so does the api by what the worker has stored.
    let (_, other) = open(&scene.database, START).await;
    assert_eq!(other.now().await, Ok(reached + 71 * A_SECOND));
    assert_eq!(scene.api.now().await, Ok(reached + 71 * A_SECOND));
    // A clock that jumps is no time that passed.
    scene.worker_clock.advance(AN_HOUR);
    assert_eq!(scene.worker.now().await, Ok(reached + 81 * A_SECOND));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clock_left_in_the_future_is_named_and_brought_back() {
    let scene = Scene::new().await;
    let before = scene.add(9).await;
    assert_eq!(scene.api.problems(START).await, Ok(Vec::new()));
    scene.ahead_once().await;
    for number in 2..6 {
        scene.pass(A_SECOND);
        scene.add(number).await;
    }
    let order = |requests: Vec<PinRequest>| requests.into_iter().map(|request| request.id).collect::<Vec<_>>();
    let ids = order(scene.list(everything()).await);
    let now = scene.api_clock.now();
    let problems = scene.api.problems(now).await.expect("it is looked at");
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(problem.contains("the database has reached 2036") && problem.contains("repair-clock"), "{problem}");

    let Scene { database, account, node, api, worker, .. } = scene;
    let named = Named::Sqlite(database.path());
    repair_clock(&named, "ada", now).await.expect_err("programs are connected");
    drop((api, worker));
    let repaired = repair_clock(&named, "ada", now).await.expect("nobody else uses it");
    assert_eq!((repaired.now, repaired.accounts, repaired.requests), (now, 1, 5));
    let again = repair_clock(&named, "ada", now).await.expect("nobody else uses it");
    assert_eq!((again.accounts, again.requests, again.roots), (0, 0, 0));

    let ((api_clock, api), (worker_clock, worker)) = (open(&database, now).await, open(&database, now).await);
    let scene = Scene { database, api_clock, api, worker_clock, worker, account, node };
    scene.pass(A_SECOND);
    assert_eq!(scene.api.problems(now).await, Ok(Vec::new()));
    assert_eq!(scene.api.check_counters().await, Ok(Vec::new()));
    let listed = scene.list(everything()).await;
    let times = listed.iter().map(|request| request.created).collect::<Vec<_>>();
    assert!(times.is_sorted_by(|newer, earlier| newer > earlier), "{times:?}");
    assert_eq!((times[0], times[5]), (now, before.created));
    assert_eq!(order(listed), ids, "in the order in which they were added");
    let added = scene.add(6).await;
    assert_eq!(added.created, now + A_SECOND);
    let earlier = PinFilter { before: Some(added.created), after: Some(before.created), limit: 1, ..everything() };
    let page = scene.api.list_pin_requests(&scene.account, &earlier, now).await.expect("requests are listed");
    assert_eq!(page.count, 5, "buckets begin where their requests do");
    let by_meta = PinFilter { meta: [("number".to_owned(), "4".to_owned())].into(), ..everything() };
    assert_eq!(scene.list(by_meta).await.len(), 1, "what is looked up by meta came along");
    scene.beat().await;
    assert_eq!(scene.lease().await.len(), 7, "every lease ended, every root is due");
}
