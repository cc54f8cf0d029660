//! What is SQLite's own: several processes on one file, grouped commits, opening and reopening, and its errors.

mod clock;
mod database;
mod scene;
#[path = "database/system.rs"]
mod system;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use futures::future::join_all;
use pinrail_domain::{AccountId, Limits, QueuePosition, Role};
use pinrail_spec::{Match, NameFilter, PinFilter};
use pinrail_storage::{Accounts, NewAccount, PinRequests, RootQueue, Storage, StorageError};
use pinrail_storage_diesel::{OpenError, SqliteOptions, SqliteStorage, migrate, schema_status};

use clock::system_time;
use database::Database;
use scene::{add_while_working, bytes, everything, request, settle_in};

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

/// How SQLite would answer a query.
fn explain(database: &Database, sql: &str) -> String {
    let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
    let plan: Vec<Plan> = plan.load(&mut connect(database)).expect("the query is understood");
    plan.into_iter().map(|step| step.detail).collect::<Vec<_>>().join("; ")
}

/// A connection as another program would open one.
fn connect(database: &Database) -> SqliteConnection {
    SqliteConnection::establish(&database.path().to_string_lossy()).expect("the file is opened")
}

async fn open_with(database: &Database, options: SqliteOptions) -> Result<SqliteStorage, OpenError> {
    SqliteStorage::open(&database.path(), options, Arc::new(system_time)).await
}

async fn error_line(database: &Database) -> String {
    let error = open_with(database, SqliteOptions::default()).await.err().expect("it is not opened");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_was_asked_and_takes_no_more() {
    let database = Database::new();
    let storage = Arc::new(database.open().await);
    let (account, _) = settle_in(&*storage, Limits::UNLIMITED).await;
    let adding = (0..50).map(|number| {
        let (storage, request) = (Arc::clone(&storage), request(account, number));
        tokio::spawn(async move { storage.add_pin_request(&request, system_time()).await })
    });
    let adding: Vec<_> = adding.collect();
    storage.close().await;
    let late = storage.add_pin_request(&request(account, 100), system_time()).await;
    assert!(matches!(&late, Err(StorageError::Unavailable(why)) if why.contains("stopped")), "{late:?}");
    let mut added = 0;
    for outcome in join_all(adding).await {
        added += u64::from(outcome.expect("it ends").is_ok());
    }
    let page = database.open().await.list_pin_requests(&account, &everything(), system_time()).await;
    assert_eq!(page.expect("a page").count, added, "what was answered is kept, and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_file() {
    let database = Database::new();
    let (api, worker) = (database.open().await, database.open().await);
    add_while_working(&api, &worker).await;
    assert_eq!(api.check_counters().await.expect("the counters are read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_process_is_noticed() {
    let database = Database::new();
    let (api, worker) = (database.open().await, database.open().await);
    let (account, _) = settle_in(&api, Limits::UNLIMITED).await;
    // What was changed before is told at once, and then there is nothing to tell.
    while tokio::time::timeout(Duration::from_millis(300), worker.changed()).await.is_ok() {}
    let request = request(account, 1);
    let (changed, added) = tokio::join!(worker.changed(), api.add_pin_request(&request, system_time()));
    changed.expect("it is told");
    added.expect("it is added");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_commit_moves_the_revision_and_nothing_else_does() {
    let database = Database::new();
    let (api, worker) = (database.open().await, database.open().await);
    let (account, _) = settle_in(&api, Limits::UNLIMITED).await;
    let revision = |storage: &SqliteStorage| storage.revision().expect("SQLite tells one");
    for number in 0..100 {
        let before = [revision(&api), revision(&worker)];
        let page = api.list_pin_requests(&account, &everything(), system_time()).await.expect("a page");
        assert_eq!(page.count, number);
        assert_eq!([revision(&api), revision(&worker)], before, "reading moves nothing");
        let adding = if number % 2 == 0 { &api } else { &worker };
        adding.add_pin_request(&request(account, number), system_time()).await.expect("it is added");
        assert!(revision(&api) > before[0] && revision(&worker) > before[1], "the commit {number} is seen by both");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_the_queue_is_counted_up_to_a_thousand() {
    let database = Database::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    let now = system_time();
    let adding = (0..1_002).map(|number| {
        let (request, storage) = (request(account, number), &storage);
        async move { storage.add_pin_request(&request, now).await.expect("it is added").id }
    });
    let ids = join_all(adding).await;
    for (index, place) in [
        (0, QueuePosition::At(1)),
        (1, QueuePosition::At(2)),
        (999, QueuePosition::At(1_000)),
        (1_000, QueuePosition::Beyond),
        (1_001, QueuePosition::Beyond),
    ] {
        let found = storage.find_pin_request(&account, &ids[index], now).await.expect("it is read");
        assert_eq!(found.expect("it is there").queue_position, Some(place));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_grouped_commit_a_bad_step_fails_alone() {
    let database = Database::new();
    // With an interval everything that follows the first step waits for one commit.
    let options = SqliteOptions { commit_interval: Duration::from_millis(100), ..SqliteOptions::default() };
    let storage = open_with(&database, options).await.expect("it is opened");
    let (account, _) = settle_in(&storage, Limits { requests: Some(3), ..Limits::UNLIMITED }).await;
    let adding = (0..6).map(|number| {
        let request = request(account, number);
        let storage = &storage;
        async move { storage.add_pin_request(&request, system_time()).await }
    });
    let outcomes = join_all(adding).await;
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(StorageError::Quota(_)))).count();
    assert_eq!((accepted, refused), (3, 3));
    assert_eq!(storage.find_account(&account).await.expect("found").expect("there").usage.requests, 3);
    assert_eq!(storage.check_counters().await.expect("the counters are read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_grouped_commit_a_taken_id_fails_alone() {
    let database = Database::new();
    let options = SqliteOptions { commit_interval: Duration::from_millis(100), ..SqliteOptions::default() };
    let storage = open_with(&database, options).await.expect("it is opened");
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    let first = storage.add_pin_request(&request(account, 0), system_time()).await.expect("it is added");
    // The taken one comes after others, whose rows are undone with it and written again.
    let mut adding: Vec<_> = (1..9).map(|number| request(account, number)).collect();
    adding[5].id = first.id;
    let outcomes = join_all(adding.iter().map(|request| storage.add_pin_request(request, system_time()))).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        match (number, outcome) {
            (5, outcome) => assert!(matches!(outcome, Err(StorageError::Conflict(_))), "{outcome:?}"),
            (_, outcome) => assert!(outcome.is_ok(), "{number}: {outcome:?}"),
        }
    }
    let page = storage.list_pin_requests(&account, &everything(), system_time()).await.expect("a page");
    let mut created: Vec<_> = page.requests.iter().map(|request| request.created).collect();
    assert!(created.is_sorted_by(|newer, older| newer > older));
    created.dedup();
    assert_eq!((page.count, created.len()), (8, 8));
    assert_eq!(storage.check_counters().await.expect("the counters are read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_there_after_reopening() {
    let database = Database::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::STANDARD).await;
    let added = storage.add_pin_request(&request(account, 7), system_time()).await.expect("it is added");
    let service = storage.service_id().await.expect("it has an id");
    drop(storage);

    let storage = database.open().await;
    let found = storage.find_pin_request(&account, &added.id, system_time()).await.expect("it is read");
    assert_eq!(found.expect("it is there").pin, added.pin);
    assert_eq!(storage.service_id().await.expect("it has an id"), service);
    storage.ready().await.expect("it accepts writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_never_runs_backwards() {
    let database = Database::new();
    let storage = database.open().await;
    let ahead = system_time() + Duration::from_hours(1);
    let new = NewAccount {
        id: AccountId::new(ahead, bytes(1)),
        name: "ada".to_owned(),
        email: None,
        role: Role::Pinner,
        limits: Limits::STANDARD,
    };
    storage.add_account(&new, ahead).await.expect("the account is added");
    assert_eq!(storage.now().await.expect("it has a clock"), ahead);
    drop(storage);
    assert_eq!(database.open().await.now().await.expect("it has a clock"), ahead);
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_and_case_mean_themselves() {
    let database = Database::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    for (number, name) in ["100%", "100 percent", "a_b", "A_B", "aXb"].into_iter().enumerate() {
        let mut request = request(account, number as u64);
        request.pin.name = Some(name.to_owned());
        storage.add_pin_request(&request, system_time()).await.expect("it is added");
    }
    for (text, matching, wanted) in
        [("%", Match::Partial, 1), ("a_b", Match::Partial, 1), ("a_b", Match::Ipartial, 2), ("A_b", Match::Iexact, 2)]
    {
        let filter = PinFilter { name: Some(NameFilter { text: text.to_owned(), matching }), ..everything() };
        let page = storage.list_pin_requests(&account, &filter, system_time()).await.expect("a page");
        assert_eq!((page.count, page.requests.len()), (wanted, usize::try_from(wanted).unwrap()), "{text}");
    }
}

#[test]
fn migrations_run_from_nothing_once() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("pinrail.sqlite");
    let before = schema_status(&path).expect("it is looked at");
    assert!(!path.exists(), "looking makes no file");
    assert_eq!((before.applied.len(), before.newer.len()), (0, 0));
    assert_eq!(migrate(&path).expect("it is migrated"), before.pending);
    let after = schema_status(&path).expect("it is looked at");
    assert_eq!((after.applied, after.pending), (before.pending, Vec::new()));
    assert_eq!(migrate(&path).expect("it is up to date"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_waited_for() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("pinrail.sqlite");
    let options = SqliteOptions { wait_for_schema: Duration::from_secs(30), ..SqliteOptions::default() };
    let opening = SqliteStorage::open(&path, options, Arc::new(system_time));
    let migrating = tokio::task::spawn_blocking({
        let path = path.clone();
        move || migrate(&path)
    });
    let (opened, migrated) = tokio::join!(opening, migrating);
    migrated.expect("it ends").expect("it is migrated");
    opened.expect("it is opened").now().await.expect("it has a clock");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_one_line() {
    let folder = tempfile::tempdir().expect("there is room");
    let open = |path: PathBuf| async move {
        let opened = SqliteStorage::open(&path, SqliteOptions::default(), Arc::new(system_time)).await;
        opened.err().expect("it is not opened").to_string()
    };
    let line = open(folder.path().join("absent").join("pinrail.sqlite")).await;
    assert!(line.contains("is not there"), "{line}");
    let line = open(folder.path().join("pinrail.sqlite")).await;
    assert!(line.contains("run pinrail-api migrate"), "{line}");
    let other = folder.path().join("notes.txt");
    std::fs::write(&other, "this is a text, and a rather long one, so that no header fits".repeat(10)).unwrap();
    let line = open(other).await;
    assert!(line.contains("is not a SQLite database"), "{line}");

    let database = Database::new();
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')";
    connect(&database).batch_execute(newer).expect("the row is written");
    let added = "ALTER TABLE pin_requests ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'";
    connect(&database).batch_execute(added).expect("a column is added");
    let storage = open_with(&database, SqliteOptions::default()).await.expect("a schema that gained something is used");
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    storage.add_pin_request(&request(account, 1), system_time()).await.expect("it is added");
    drop(storage);
    assert_eq!(migrate(&database.path()).expect("nothing is lacking"), Vec::<String>::new());
    let needs = "UPDATE service SET needs = '99991231000000_without_names'";
    connect(&database).batch_execute(needs).expect("the row is written");
    let line = error_line(&database).await;
    assert!(line.contains("newer version (99991231000000)"), "{line}");
    let line = migrate(&database.path()).expect_err("it is newer").to_string();
    assert!(line.contains("newer version (99991231000000)"), "{line}");
}

#[test]
fn lists_are_led_by_the_index_that_fits() {
    let database = Database::new();
    let plan = |filter: &str| {
        let select = "SELECT cid FROM pin_requests WHERE account = 1 AND";
        explain(&database, &format!("{select} {filter} ORDER BY created DESC LIMIT 10"))
    };
    for (filter, index) in [
        ("created < 5", "PRIMARY KEY (account=? AND created<?)"),
        ("status = 'pinned' AND created < 5", "pin_requests_status (account=? AND status=? AND created<?)"),
        ("root = 7 AND +pin_requests.status IN ('pinned')", "pin_requests_root (root=? AND account=?)"),
        ("folded_name = 'a' AND name = 'A'", "pin_requests_name (account=? AND folded_name=?)"),
    ] {
        let plan = plan(filter);
        assert!(plan.contains(index), "{filter}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{filter}: {plan}");
    }
}
