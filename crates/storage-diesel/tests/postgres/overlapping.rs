//! What one step does while another is under way: locks that are waited for, collisions, leases and what changes their
//! ground.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use pinrail_domain::{Lease, LeaseNews, Limits, NewPinRequest};
use pinrail_storage::{Accounts, Nodes, PinRequests, RootQueue, StorageError};
use pinrail_storage_diesel::{PostgresOptions, PostgresStorage, TimeSource};
use tokio_postgres::NoTls;

use crate::clock::system_time;
use crate::scene::{everything, registration, request, settle_in};
use crate::server::PostgresDatabase;

/// A connection beside any pool.
async fn client(database: &PostgresDatabase) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// How many wait for a lock of this database.
pub fn waiting(database: &PostgresDatabase) -> usize {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    database.sql(waiting).trim().parse().expect("a number")
}

/// Wait until somebody waits for a lock of this database.
async fn await_waiting(database: &PostgresDatabase) {
    while waiting(database) != 1 {
        tokio::task::yield_now().await;
    }
}

/// A lease is described, and then its account is noted as served: who holds this lock stops it there.
const STOP_LEASES: &str = "BEGIN; LOCK TABLE queue_accounts IN SHARE MODE";

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_any_more_is_not_added() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open().await);
    let (account, _) = settle_in(&*storage, Limits::UNLIMITED).await;
    let client = client(&database).await;
    client.batch_execute("BEGIN; SELECT 1 FROM accounts FOR UPDATE").await.expect("the account is locked");
    let add = |number| {
        let (storage, request) = (Arc::clone(&storage), request(account, number));
        async move { storage.add_pin_request(&request, system_time()).await }
    };
    let first = tokio::spawn(add(1));
    await_waiting(&database).await;
    assert!(add(2).now_or_never().is_none(), "it waits behind the first one");
    client.batch_execute("COMMIT").await.expect("the account is free");
    first.await.expect("it ends").expect("it is added");
    add(3).await.expect("it is added");
    let page = storage.list_pin_requests(&account, &everything(), system_time()).await.expect("a page");
    let names: Vec<_> = page.requests.iter().filter_map(|request| request.pin.name.as_deref()).collect();
    assert_eq!(names, ["pin 3", "pin 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open().await);
    let (account, _) = settle_in(&*storage, Limits::UNLIMITED).await;
    storage.add_pin_request(&request(account, 1), system_time()).await.expect("it is added");
    let client = client(&database).await;
    // Against the order in which everything else locks, and it does not look for deadlocks itself.
    let root = "SET deadlock_timeout = '1h'; SET lock_timeout = 0; BEGIN; SELECT 1 FROM roots FOR UPDATE";
    client.batch_execute(root).await.expect("the root is locked");
    let adding = tokio::spawn({
        let (storage, again) =
            (Arc::clone(&storage), NewPinRequest { pin: request(account, 1).pin, ..request(account, 2) });
        async move { storage.add_pin_request(&again, system_time()).await }
    });
    await_waiting(&database).await;
    client.batch_execute("SELECT 1 FROM accounts FOR UPDATE; COMMIT").await.expect("the other one gives way");
    adding.await.expect("it ends").expect("it is added after all");
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    while database.sql(deadlocks).trim() == "0" {
        tokio::task::yield_now().await;
    }
    assert_eq!(storage.check_counters().await.expect("the counters are read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_not_waited_for_for_ever() {
    let database = PostgresDatabase::new();
    let url = format!("{}?options=-c%20lock_timeout%3D200ms", database.url());
    let storage = PostgresStorage::open(&url, &PostgresOptions::default()).await.expect("it is opened");
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    let client = client(&database).await;
    client.batch_execute("BEGIN; SELECT 1 FROM accounts FOR UPDATE").await.expect("the account is locked");
    let refused = storage.add_pin_request(&request(account, 1), system_time()).await;
    assert!(matches!(&refused, Err(StorageError::Unavailable(why)) if why.contains("lock timeout")), "{refused:?}");
    client.batch_execute("COMMIT").await.expect("the account is free");
    storage.add_pin_request(&request(account, 2), system_time()).await.expect("it is added");
    let page = storage.list_pin_requests(&account, &everything(), system_time()).await.expect("a page");
    assert_eq!(page.count, 1, "nothing of the first one is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_being_taken_ends_when_its_account_is_blocked() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open().await);
    let (account, node) = settle_in(&*storage, Limits::UNLIMITED).await;
    storage.add_pin_request(&request(account, 1), system_time()).await.expect("it is added");
    let client = client(&database).await;
    client.batch_execute(STOP_LEASES).await.expect("leases are stopped");
    let leasing = tokio::spawn({
        let (storage, now) = (Arc::clone(&storage), system_time());
        async move { storage.lease_due(&node, now, now + MINUTE, 1, 64).await }
    });
    await_waiting(&database).await;
    let blocking = tokio::spawn({
        let storage = Arc::clone(&storage);
        async move { storage.set_blocked(&account, Some("spam"), system_time()).await }
    });
    while !blocking.is_finished() && waiting(&database) != 2 {
        tokio::task::yield_now().await;
    }
    client.batch_execute("COMMIT").await.expect("leases go on");
    let leases = leasing.await.expect("it ends").expect("it is leased");
    blocking.await.expect("it ends").expect("it is blocked");
    let news = storage.read_leases(&[leases[0].key.clone()]).await.expect("news");
    assert_eq!(news, [LeaseNews::Lost]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_a_new_request_gave_to_another_node_is_that_nodes() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open_with(TimeSource::Caller).await);
    let begun = system_time();
    let (account, silent) = settle_in(&*storage, Limits::UNLIMITED).await;
    for number in [1, 2] {
        storage.add_pin_request(&request(account, number), begun).await.expect("it is added");
    }
    // Much later the node has fallen silent, and there are two others.
    let now = begun + 10 * MINUTE;
    let [chosen, other] = [3, 4].map(|number| registration(number, &format!("/ip4/203.0.113.1/tcp/{number}")));
    for node in [&chosen, &other] {
        storage.register_node(node, now).await.expect("the node is registered");
    }
    let client = client(&database).await;
    client.batch_execute(STOP_LEASES).await.expect("leases are stopped");
    let leasing = tokio::spawn({
        let (storage, other) = (Arc::clone(&storage), other.id);
        async move { storage.lease_due(&other, now, now + MINUTE, 2, 64).await }
    });
    await_waiting(&database).await;
    let again = NewPinRequest { pin: request(account, 2).pin, ..request(account, 3) };
    let moved = storage.add_pin_request(&again, now).await.expect("it is added");
    assert_eq!(moved.delegates, chosen.addresses, "the clients dial this node");
    client.batch_execute("COMMIT").await.expect("leases go on");
    let roots = |leases: Vec<Lease>| leases.into_iter().map(|lease| lease.key.root).collect::<Vec<_>>();
    let taken = leasing.await.expect("it ends").expect("it is leased");
    assert_eq!(roots(taken), [request(account, 1).pin.cid.root()], "the other one is no longer {silent}'s");
    let taken = storage.lease_due(&chosen.id, now, now + MINUTE, 2, 64).await.expect("it is leased");
    assert_eq!(roots(taken), [again.pin.cid.root()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_locks_roots_in_the_order_of_their_keys() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open().await);
    let (account, _) = settle_in(&*storage, Limits::UNLIMITED).await;
    storage.add_pin_request(&request(account, 1), system_time()).await.expect("it is added");
    let old = storage.add_pin_request(&request(account, 2), system_time()).await.expect("it is added");
    let client = client(&database).await;
    let lock = |order: &str| format!("SELECT 1 FROM roots ORDER BY key {order} LIMIT 1 FOR UPDATE");
    client.batch_execute(&format!("BEGIN; {}", lock("ASC"))).await.expect("the first root is locked");
    let replacing = tokio::spawn({
        let storage = Arc::clone(&storage);
        let new = NewPinRequest { pin: request(account, 1).pin, ..request(account, 3) };
        async move { storage.replace_pin_request(&old.id, &new, system_time()).await }
    });
    await_waiting(&database).await;
    let last = format!("{} NOWAIT", lock("DESC"));
    client.batch_execute(&last).await.expect("who waits for the first root does not have the second");
    client.batch_execute("COMMIT").await.expect("both are free");
    assert!(replacing.await.expect("it ends").expect("it is replaced").is_some());
}
