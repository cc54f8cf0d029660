//! Rows are found by an index, also while the server still takes the tables for as small as they were when its plans
//! were made.

use pinrail_domain::Limits;

use crate::crowd;
use crate::scene::{add_and_pin, settle_in};
use crate::server::PostgresDatabase;

/// More accounts, none of which waits for anything.
const CROWD: &str = "
    INSERT INTO accounts (id, name, role, used_requests, used_queued_roots, used_bytes, last_created, next_ordinal,
        created)
    SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'crowd ' || n, 'pinner', 0, 0, 0, 0, 0, 0
    FROM generate_series(1, 50000) AS n;";

/// Rows of these tables that were read since the database was made, in whatever way.
const READ: &str = "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('roots', 'accounts'))
    + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('roots', 'accounts'))";

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
    find_by_index("ANALYZE roots").await;
}

/// Have plans made while tables are small, of which `counted` counts some, and look at what they read of large ones.
async fn find_by_index(counted: &str) {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, node) = settle_in(&storage, Limits::UNLIMITED).await;
    add_and_pin(&storage, &storage, account, node, 0..200).await;
    database.sql(counted);
    add_and_pin(&storage, &storage, account, node, 300..310).await;
    crowd::add_roots(&database, "pinned", 50_000);
    database.sql(CROWD);
    let before = read(&database);
    add_and_pin(&storage, &storage, account, node, 200..264).await;
    drop(storage);
    database.sql(ALONE);
    let rows = read(&database) - before;
    assert!((64..50_000).contains(&rows), "{rows} rows were read for 64 requests");
}

fn read(database: &PostgresDatabase) -> i64 {
    database.sql(READ).trim().parse().expect("a number")
}
