//! Lists and changes of one account while others work, and lists that nobody waits for.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::{AccountId, Limits};
use pinrail_spec::PinFilter;
use pinrail_storage::{PinRequests, Storage, StorageError};
use pinrail_storage_diesel::PostgresStorage;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

use crate::clock::system_time;
use crate::scene::{add_account, everything, request, settle_in};
use crate::server::PostgresDatabase;

/// Far more than anything here takes: a test that waits for so long has failed.
const LONG: Duration = Duration::from_mins(1);
/// How often the server is asked who waits.
const LOOK: Duration = Duration::from_millis(20);

/// A connection of another program.
async fn connect(database: &PostgresDatabase) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// A connection that makes all wait who look for pairs of meta.
async fn hold_up(database: &PostgresDatabase) -> Client {
    let client = connect(database).await;
    client.batch_execute("BEGIN; LOCK TABLE pin_meta IN ACCESS EXCLUSIVE MODE").await.expect("the lock");
    client
}

/// Those in this database who wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database() AND backend_type = 'client backend'";

/// Wait until so many wait for a lock.
async fn waits(client: &Client, wanted: RangeInclusive<i64>, within: Duration) {
    let mut waiting = 0;
    let all = async {
        loop {
            // Within a transaction the server shows the same connections again and again unless it is told not to.
            client.execute("SELECT pg_stat_clear_snapshot()", &[]).await.expect("it is cleared");
            waiting = client.query_one(WAITING, &[]).await.expect("a count").get(0);
            if wanted.contains(&waiting) {
                return;
            }
            sleep(LOOK).await;
        }
    };
    timeout(within, all).await.unwrap_or_else(|_| panic!("{waiting} wait, wanted {wanted:?}"));
}

/// List by meta again and again, until this is aborted.
async fn go_on_listing(storage: Arc<PostgresStorage>, account: AccountId) {
    loop {
        let listed = list_by_meta(Arc::clone(&storage), account).await;
        assert!(matches!(listed, Ok(0) | Err(StorageError::Busy(_))), "{listed:?}");
    }
}

/// List the pins that have a pair of meta.
async fn list_by_meta(storage: Arc<PostgresStorage>, account: AccountId) -> Result<u64, StorageError> {
    let filter = PinFilter { meta: [("k".to_owned(), "v".to_owned())].into(), ..everything() };
    Ok(storage.list_pin_requests(&account, &filter, system_time()).await?.count)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_lists_last_keeps_nobody_else_waiting() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open().await);
    let (greedy, _) = settle_in(storage.as_ref(), Limits::UNLIMITED).await;
    let victim = add_account(storage.as_ref(), "bob", 7, Limits::UNLIMITED).await;
    let lock = hold_up(&database).await;
    let lists: Vec<_> = (0..20).map(|_| tokio::spawn(go_on_listing(Arc::clone(&storage), greedy))).collect();
    // Of eight connections four are for lists, and two of them for one account.
    waits(&lock, 2..=8, LONG).await;
    let work = async {
        let added = storage.add_pin_request(&request(victim, 1), system_time()).await.expect("it is added");
        let found = storage.find_pin_request(&victim, &added.id, system_time()).await.expect("it is read");
        assert_eq!(found.map(|found| found.id), Some(added.id));
        let page = storage.list_pin_requests(&victim, &everything(), system_time()).await.expect("a page");
        assert_eq!(page.count, 1);
        storage.ready().await.expect("it is ready");
        assert!(storage.list_use().in_use <= 2, "{:?}", storage.list_use());
    };
    timeout(LONG, work).await.expect("the other account is answered");
    lock.batch_execute("ROLLBACK").await.expect("the lock is given back");
    for list in lists {
        list.abort();
        assert!(list.await.is_err_and(|ended| ended.is_cancelled()), "it went on until it was aborted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_changes_wait_for_its_lock_keeps_nobody_else_waiting() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open().await);
    let (greedy, _) = settle_in(storage.as_ref(), Limits::UNLIMITED).await;
    let victim = add_account(storage.as_ref(), "bob", 7, Limits::UNLIMITED).await;
    let lock = connect(&database).await;
    lock.batch_execute("BEGIN; SELECT FROM accounts WHERE name = 'ada' FOR UPDATE").await.expect("the lock");
    let removing = (0..20).map(|number| {
        let (storage, id) = (Arc::clone(&storage), request(greedy, number).id);
        tokio::spawn(async move { storage.remove_pin_request(&greedy, &id, system_time()).await })
    });
    let removing: Vec<_> = removing.collect();
    waits(&lock, 1..=1, LONG).await;
    let work = async {
        let added = storage.add_pin_request(&request(victim, 100), system_time()).await.expect("it is added");
        let removed = storage.remove_pin_request(&victim, &added.id, system_time()).await;
        assert_eq!(removed, Ok(true));
    };
    timeout(LONG, work).await.expect("the other account is answered");
    waits(&lock, 1..=1, LONG).await;
    lock.batch_execute("ROLLBACK").await.expect("the lock is given back");
    for removed in removing {
        let removed = removed.await.expect("it does not panic");
        assert!(matches!(removed, Ok(false) | Err(StorageError::Busy(_))), "{removed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_nobody_waits_for_is_ended_on_the_server() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open().await);
    let (account, _) = settle_in(storage.as_ref(), Limits::UNLIMITED).await;
    let lock = hold_up(&database).await;
    let list = tokio::spawn(go_on_listing(Arc::clone(&storage), account));
    waits(&lock, 1..=1, LONG).await;
    list.abort();
    // The server's own limits end it later than that.
    waits(&lock, 0..=0, Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_takes_too_long_says_so() {
    let database = PostgresDatabase::new();
    let storage = Arc::new(database.open().await);
    let (account, _) = settle_in(storage.as_ref(), Limits::UNLIMITED).await;
    let lock = hold_up(&database).await;
    let listed = timeout(LONG, list_by_meta(Arc::clone(&storage), account)).await.expect("it ends");
    assert!(matches!(&listed, Err(StorageError::Busy(why)) if why.contains("ask for less")), "{listed:?}");
    waits(&lock, 0..=0, LONG).await;
}
