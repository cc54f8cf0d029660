//! A process that is killed while it commits by the group: what it had answered is there, and every counter is right.

mod clock;
mod database;
#[path = "database/system.rs"]
mod system;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_domain::{AccountId, Backend, Limits, NewPinRequest, NodeId, PinRequest, RequestId, Role, TokenId};
use pinrail_spec::{Cid, Multiaddr, Pin, Timestamp};
use pinrail_storage::{Accounts, NewAccount, NodeRegistration, Nodes, PinRequests};
use pinrail_storage_diesel::{SqliteOptions, SqliteStorage};

use clock::system_time;
use database::Database;

/// Names the database for the process that is to be killed.
const DATABASE: &str = "PINRAIL_TEST_DATABASE";
/// Who adds, replaces and removes at once.
const CLIENTS: u64 = 16;
const ACCOUNTS: u64 = 3;
/// What a process is killed after.
const ANSWERS: usize = 400;
const PEER: &str = "/ip4/203.0.113.1/tcp/4401/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN";

static SERIAL: AtomicU64 = AtomicU64::new(1);

#[test]
#[expect(clippy::disallowed_methods, reason = "the killed process is told its database by the one that starts it")]
fn a_killed_process_has_stored_all_that_it_answered() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime is made");
    if let Some(path) = std::env::var_os(DATABASE) {
        return runtime.block_on(change_until_killed(Path::new(&path)));
    }
    let database = Database::new();
    runtime.block_on(settle_in(&database));
    let mut told = Told::default();
    // Killed three times, at whatever it was committing, each time on top of what was there.
    for _ in 0..3 {
        let (mut child, lines) = start(&database.path());
        let mut lines = lines.map_while(Result::ok);
        let answers = lines.by_ref().filter(|line| told.note(line)).take(ANSWERS).count();
        child.kill().expect("it is killed");
        child.wait().expect("it is gone");
        assert_eq!(answers, ANSWERS);
        for line in lines {
            told.note(&line);
        }
        runtime.block_on(check(&database, &told));
    }
    assert!(!told.gone.is_empty(), "some were removed");
}

/// What the killed processes said.
#[derive(Default)]
struct Told {
    /// Added, and it was answered.
    added: BTreeSet<(u64, RequestId)>,
    /// To be removed or replaced, answered or not.
    leaving: BTreeSet<(u64, RequestId)>,
    /// Removed or replaced, and it was answered.
    gone: BTreeSet<(u64, RequestId)>,
}

impl Told {
    /// Note a line; whether it was one of a client's.
    fn note(&mut self, line: &str) -> bool {
        let mut words = line.split(' ');
        let list = match words.next() {
            Some("added") => &mut self.added,
            Some("leaving") => &mut self.leaving,
            Some("gone") => &mut self.gone,
            _ => return false,
        };
        let account = words.next().and_then(|word| word.parse().ok());
        let id = words.next().and_then(|word| word.parse().ok());
        // The last line may be torn.
        let Some(told) = account.zip(id) else { return false };
        list.insert(told)
    }
}

async fn check(database: &Database, told: &Told) {
    let storage = database.open().await;
    let accounts = accounts(&storage).await;
    let is_there = async |(account, id): &(u64, RequestId)| {
        let account = &accounts[usize::try_from(*account).expect("a small number")];
        storage.find_pin_request(account, id, system_time()).await.expect("it is looked for").is_some()
    };
    for request in told.added.difference(&told.leaving) {
        assert!(is_there(request).await, "{request:?} was answered");
    }
    for request in &told.gone {
        assert!(!is_there(request).await, "{request:?} was removed");
    }
    assert_eq!(storage.check_counters().await.expect("the counters are read"), []);
}

fn start(path: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_killed_process_has_stored_all_that_it_answered", "--nocapture"])
        .env(DATABASE, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    (child, lines)
}

fn bytes(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

async fn settle_in(database: &Database) {
    let storage = database.open().await;
    for number in 0..ACCOUNTS {
        let (id, name) = (AccountId::new(system_time(), bytes(number)), format!("account {number}"));
        let new = NewAccount { id, name, email: None, role: Role::Pinner, limits: Limits::UNLIMITED };
        storage.add_account(&new, system_time()).await.expect("the account is added");
    }
    let node = NodeRegistration {
        id: NodeId::new(system_time(), bytes(1)),
        backend: Backend::Embedded,
        peer_id: "peer".to_owned(),
        addresses: vec![Multiaddr::parse(PEER).expect("a multiaddr")],
    };
    storage.register_node(&node, system_time()).await.expect("the node is registered");
}

async fn accounts(storage: &SqliteStorage) -> Vec<AccountId> {
    let accounts = storage.list_accounts(None, 10).await.expect("they are listed");
    accounts.into_iter().map(|account| account.id).collect()
}

/// What the process that is to be killed does.
async fn change_until_killed(path: &Path) {
    let storage = SqliteStorage::open(path, SqliteOptions::default(), Arc::new(system_time)).await;
    let storage = Arc::new(storage.expect("it is opened"));
    let accounts = accounts(&storage).await;
    let clients = (0..CLIENTS).map(|client| {
        let number = client % ACCOUNTS;
        let account = accounts[usize::try_from(number).expect("a small number")];
        tokio::spawn(change(Arc::clone(&storage), number, account))
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("it goes on until it is killed");
    }
}

/// Add, and of each four that were added replace one and remove one.
async fn change(storage: Arc<SqliteStorage>, number: u64, account: AccountId) {
    loop {
        let mut added = Vec::new();
        for _ in 0..4 {
            let request = storage.add_pin_request(&request(account), system_time()).await.expect("it is added");
            say("added", number, &request);
            added.push(request);
        }
        let (old, new) = (&added[1], request(account));
        say("leaving", number, old);
        let new = storage.replace_pin_request(&old.id, &new, system_time()).await.expect("it is replaced");
        say("gone", number, old);
        say("added", number, &new.expect("it was there"));
        say("leaving", number, &added[2]);
        assert!(storage.remove_pin_request(&account, &added[2].id, system_time()).await.expect("it is removed"));
        say("gone", number, &added[2]);
    }
}

/// Tell the process that kills this one, in one write.
fn say(what: &str, account: u64, request: &PinRequest) {
    let line = format!("{what} {account} {}\n", request.id);
    std::io::stdout().write_all(line.as_bytes()).expect("somebody listens");
}

/// A request for a root of its own or, one in four, for one that others want too.
fn request(account: AccountId) -> NewPinRequest {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let id = RequestId::new(system_time(), bytes(serial));
    let root = if serial.is_multiple_of(4) { u128::from(serial % 32) } else { id.as_uuid().as_u128() };
    NewPinRequest {
        id,
        account,
        token: TokenId::new(Timestamp::from_millis(0), bytes(1)),
        pin: Pin {
            cid: Cid::parse(&format!("f01551220{root:064x}")).expect("a CID in base16"),
            name: Some(format!("pin {serial}")),
            origins: Vec::new(),
            meta: [("app".to_owned(), "killed".to_owned())].into(),
        },
    }
}
