//! Rows are found by an index, also while the server still takes the tables for as small as they were when its plans
//! were made.

use std::time::Duration;

use pinrail_domain::{Lease, Limits, Verdict};
use pinrail_storage::{AccessTokens, PinRequests, RootQueue, Settlement};
use pinrail_storage_diesel::PostgresStorage;

use crate::clock::system_time;
use crate::crowd;
use crate::look_ups::add_token;
use crate::scene::{add_account, add_and_pin, request, settle_in};
use crate::server::PostgresDatabase;

/// More accounts with a token each, none of which waits for anything.
const CROWD: &str = "
    INSERT INTO accounts (id, name, role, used_requests, used_queued_roots, used_bytes, last_created, next_ordinal,
        created)
    SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'crowd ' || n, 'pinner', 0, 0, 0, 0, 0, 0
    FROM generate_series(1, 50000) AS n;
    INSERT INTO access_tokens (id, account, name, scopes, created, key_id, revocation_id)
    SELECT id, key, 'laptop', '', 0, 1, id FROM accounts WHERE name LIKE 'crowd %';";

/// Rows of these tables that were read since the database was made, in whatever way.
const READ: &str = "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables
        WHERE relname IN ('roots', 'accounts', 'access_tokens'))
    + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('roots', 'accounts', 'access_tokens'))";

/// Rows of accounts that were written, and those that were with an entry in each index: the others stay on their page.
const WRITTEN: &str = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'accounts'";
const WRITTEN_WHOLE: &str = "SELECT n_tup_upd - n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'accounts'";

/// Longer than a connection keeps a plan.
const PLANS_KEPT: Duration = Duration::from_secs(11);

/// Wait until every other connection is closed: a server process counts what it read at its end at the latest.
const ALONE: &str = "DO $$ BEGIN
    WHILE EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend')
    LOOP
        PERFORM pg_stat_clear_snapshot();
    END LOOP;
END $$";

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_small_tables_does_not_read_large_ones_whole() {
    find_by_index("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_made_when_some_tables_were_counted() {
    find_by_index("ANALYZE roots, accounts, access_tokens").await;
}

/// Have plans made while tables are small, of which `counted` counts some, and look at what they read of large ones.
async fn find_by_index(counted: &str) {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, node) = settle_in(&storage, Limits::UNLIMITED).await;
    let mut accounts = vec![account];
    for number in 10..17 {
        accounts.push(add_account(&storage, &format!("user {number}"), number, Limits::UNLIMITED).await);
    }
    add_and_pin(&storage, &storage, &accounts, node, 0..200).await;
    database.sql(counted);
    add_and_pin(&storage, &storage, &accounts, node, 300..310).await;
    crowd::add_roots(&database, "pinned", 50_000);
    database.sql(CROWD);
    let before = number(&database, READ);
    add_and_pin(&storage, &storage, &accounts, node, 200..264).await;
    let rows = read_since(&database, storage, before);
    assert!((64..50_000).contains(&rows), "{rows} rows were read for 64 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_few_tokens_is_not_kept_for_many() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let account = add_account(&storage, "ada", 1, Limits::UNLIMITED).await;
    let token = add_token(&storage, account, 1).await;
    drop(storage);
    database.sql("ALTER TABLE access_tokens SET (autovacuum_enabled = off); ANALYZE access_tokens");
    let storage = database.open().await;
    storage.standing(&token).await.expect("it is read").expect("it is known");
    database.sql(CROWD);
    // Nothing shows that the time of a plan is over.
    tokio::time::sleep(PLANS_KEPT).await;
    let before = number(&database, READ);
    for _ in 0..64 {
        storage.standing(&token).await.expect("it is read").expect("it is known");
    }
    let rows = read_since(&database, storage, before);
    assert!((64..50_000).contains(&rows), "{rows} rows were read for 64 tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_reads_no_more_releases_than_it_takes() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, node) = settle_in(&storage, Limits::UNLIMITED).await;
    add_and_pin(&storage, &storage, &[account], node, 0..20).await;
    crowd::add_roots(&database, "releasing", 50_000);
    let before = number(&database, READ);
    for _ in 0..4 {
        let now = system_time();
        let leases = storage.lease_due(&node, now, now + Duration::from_mins(1), 16, 64).await.expect("leases");
        storage.settle(&leases.iter().map(released).collect::<Vec<_>>(), now).await.expect("they are settled");
        assert_eq!(leases.len(), 64);
    }
    let rows = read_since(&database, storage, before);
    assert!((4 * 64..50_000).contains(&rows), "{rows} rows were read for 256 releases");
}

/// The settlement of a lease whose root is gone from the node.
fn released(lease: &Lease) -> Settlement {
    Settlement { lease: lease.key.clone(), verdict: Verdict::Released }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_uses_is_written_without_its_indices() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    for number in 0..50 {
        storage.add_pin_request(&request(account, number), system_time()).await.expect("it is added");
    }
    drop(storage);
    database.sql(ALONE);
    let (all, whole) = (number(&database, WRITTEN), number(&database, WRITTEN_WHOLE));
    assert!(all >= 50 && whole <= 2, "{whole} of {all} rows were written with the entries of all indices");
}

/// Whatever checks a reference at once is planned for every row.
#[test]
fn references_are_checked_at_the_commit() {
    let database = PostgresDatabase::new();
    assert_eq!(number(&database, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"), 4);
    assert_eq!(number(&database, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT condeferred"), 0);
}

/// Rows that were read since there were `before`, once what reads is closed.
fn read_since(database: &PostgresDatabase, storage: PostgresStorage, before: i64) -> i64 {
    drop(storage);
    database.sql(ALONE);
    number(database, READ) - before
}

fn number(database: &PostgresDatabase, asked: &str) -> i64 {
    database.sql(asked).trim().parse().expect("a number")
}
