//! Parts of names on PostgreSQL: found by an index where there can be one, and found without it.

use std::time::Duration;

use futures::future::join_all;
use pinrail_domain::{AccountId, Limits};
use pinrail_spec::{Match, NameFilter, PinFilter};
use pinrail_storage::PinRequests;
use pinrail_storage_diesel::{PostgresOptions, PostgresStorage, postgres_schema};

use crate::clock::system_time;
use crate::scene::{everything, request, settle_in};
use crate::server::PostgresDatabase;

const INDEX: &str = "pin_requests_name_parts";
/// What makes the account large and the others many, as rows alone.
const CROWD: &str = "
    INSERT INTO accounts (key, id, name, role, used_requests, used_queued_roots, used_bytes, last_created, next_ordinal,
        created)
    SELECT 1000 + n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 'crowd ' || n, 'pinner', 0, 0, 0, 0, 0, 0
    FROM generate_series(1, 100) AS n;
    INSERT INTO pin_requests (account, created, id, ordinal, cid, root, name, folded_name, token, status)
    SELECT CASE WHEN n < 20000 THEN (SELECT account FROM pin_requests LIMIT 1) ELSE 1000 + n % 100 + 1 END, n,
        decode(lpad(to_hex(n), 32, '0'), 'hex'), n, (SELECT cid FROM pin_requests LIMIT 1),
        (SELECT root FROM pin_requests LIMIT 1), 'Photo ' || n, 'photo ' || n, decode(repeat('00', 16), 'hex'), 'queued'
    FROM generate_series(1, 30000) AS n;
    ANALYZE";

fn part(text: &str, matching: Match) -> PinFilter {
    PinFilter { name: Some(NameFilter { text: text.to_owned(), matching }), ..everything() }
}

async fn count(storage: &PostgresStorage, account: AccountId, text: &str, matching: Match) -> u64 {
    let page = storage.list_pin_requests(&account, &part(text, matching), system_time()).await;
    page.expect("a page").count
}

/// An account with requests of these names.
async fn name(storage: &PostgresStorage, names: &[&str]) -> AccountId {
    let (account, _) = settle_in(storage, Limits::UNLIMITED).await;
    let adding = (0..).zip(names).map(|(number, name)| async move {
        let mut request = request(account, number);
        request.pin.name = Some((*name).to_owned());
        storage.add_pin_request(&request, system_time()).await.expect("it is added");
    });
    join_all(adding).await;
    account
}

/// How often the index was asked, once every connection of `storage` has told the server's statistics.
async fn times_asked(database: &PostgresDatabase, storage: PostgresStorage) -> u32 {
    drop(storage);
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while database.sql(others).trim() != "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = database.sql(&format!("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = '{INDEX}'"));
    asked.trim().parse().expect("there is such an index")
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_names_are_found_by_the_index() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let account = name(&storage, &["the first"]).await;
    database.sql(CROWD);
    let before = times_asked(&database, storage).await;

    let storage = database.open().await;
    for _ in 0..8 {
        // As often as it takes for a plan to be kept for all that is ever looked for, were it not refused.
        assert_eq!(count(&storage, account, "OTO 1234", Match::Ipartial).await, 11);
        assert_eq!(count(&storage, account, "oto 1234", Match::Partial).await, 11);
        assert_eq!(count(&storage, account, "OTO 1234", Match::Partial).await, 0);
    }
    assert_eq!(
        times_asked(&database, storage).await - before,
        8 * 3 + 8 * 2,
        "each page, and each count of a full one"
    );

    let storage = database.open().await;
    assert_eq!(count(&storage, account, "oto", Match::Partial).await, 19_999, "what all have");
    assert_eq!(count(&storage, account, "T", Match::Ipartial).await, 20_000, "shorter than what the index knows");
    assert_eq!(count(&storage, account, "-- ", Match::Ipartial).await, 0, "nothing that the index knows");
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_mean_themselves() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let account = name(&storage, &["100% sure", "1000 sure", r"a\b_c", "A_B_C", "aXbXc", r"a\%b"]).await;
    for (text, matching, wanted) in [
        ("00% s", Match::Partial, 1),
        ("00% S", Match::Ipartial, 1),
        ("b_c", Match::Partial, 1),
        ("b_c", Match::Ipartial, 2),
        (r"\b_", Match::Ipartial, 1),
        (r"A\%", Match::Ipartial, 1),
        (r"a\b", Match::Partial, 1),
        ("%%%", Match::Partial, 0),
        ("___", Match::Ipartial, 0),
        ("%", Match::Partial, 2),
    ] {
        assert_eq!(count(&storage, account, text, matching).await, wanted, "{text} {matching:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_index_names_are_found_and_a_note_says_so() {
    let database = PostgresDatabase::empty();
    // Somebody who may make tables but no extensions.
    database.sql(&format!(
        "DROP EXTENSION IF EXISTS pg_trgm, btree_gin; DROP ROLE IF EXISTS modest; CREATE ROLE modest LOGIN;
         REVOKE CREATE ON DATABASE {} FROM PUBLIC; GRANT ALL ON SCHEMA public TO modest",
        database.name()
    ));
    let url = database.url().replace("pinrail@", "modest@");
    postgres_schema::migrate(&url).await.expect("it is migrated");
    let storage = PostgresStorage::open(&url, &PostgresOptions::default()).await.expect("it is opened");
    let account = name(&storage, &["Photo 1", "photo 2", "else"]).await;
    assert_eq!(count(&storage, account, "OTO", Match::Ipartial).await, 2);
    let [note] = &storage.notes().await.expect("it is looked at")[..] else { panic!("there is one note") };
    assert!(note.contains("CREATE EXTENSION pg_trgm"), "{note}");

    database.sql("CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gin");
    assert_eq!(postgres_schema::migrate(&url).await.expect("there is nothing to migrate"), Vec::<String>::new());
    assert_eq!(storage.notes().await.expect("it is looked at"), Vec::<String>::new());
    assert_eq!(count(&storage, account, "OTO", Match::Ipartial).await, 2);
}
