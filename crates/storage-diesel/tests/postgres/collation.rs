//! Text that indices sort is sorted by its bytes, and programs that run go on while a migration changes its columns.

use pinrail_domain::Limits;
use pinrail_storage::{Accounts, PinRequests};
use pinrail_storage_diesel::{PostgresOptions, PostgresStorage, postgres_schema};

use crate::clock::system_time;
use crate::scene::{everything, request, settle_in};
use crate::server::PostgresDatabase;

const BY_BYTES: &str = include_str!("../../migrations/postgres/2026-11-30-000011_text_by_bytes/up.sql");
const BY_LANGUAGE: &str = include_str!("../../migrations/postgres/2026-11-30-000011_text_by_bytes/down.sql");

/// Columns of indices that the server sorts by rules of a language. Diesel's own list of migrations is digits.
const BY_RULES: &str = "SELECT indices.relname, columns.attname FROM pg_index
    JOIN pg_class AS indices ON indices.oid = indexrelid JOIN pg_class AS tables ON tables.oid = indrelid
    JOIN pg_attribute AS columns ON columns.attrelid = indexrelid
    JOIN pg_collation ON pg_collation.oid = columns.attcollation
    WHERE tables.relnamespace = 'public'::regnamespace AND collname <> 'C'
    AND tables.relname <> '__diesel_schema_migrations'";

#[tokio::test(flavor = "multi_thread")]
async fn no_index_sorts_text_by_the_rules_of_a_language() {
    let database = PostgresDatabase::new();
    assert_eq!(database.sql(BY_RULES).trim(), "");
    database.sql(BY_LANGUAGE);
    assert!(database.sql(BY_RULES).contains("accounts_name_key"), "these were sorted so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_goes_on_while_text_comes_to_be_sorted_by_its_bytes() {
    let database = PostgresDatabase::new();
    database.sql(BY_LANGUAGE);
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    let statements = BY_BYTES.split("-- Statements").next().expect("what changes the columns");
    for (number, sql) in (0..).zip([BY_BYTES, BY_LANGUAGE, statements, BY_LANGUAGE, BY_BYTES]) {
        let added = storage.add_pin_request(&request(account, number), system_time()).await.expect("it is added");
        database.sql(sql);
        let found = storage.find_pin_request(&account, &added.id, system_time()).await.expect("it is looked up");
        assert_eq!(found.map(|found| found.id), Some(added.id));
        assert!(storage.find_account_by_name("ada").await.expect("accounts are found").is_some());
        let page = storage.list_pin_requests(&account, &everything(), system_time()).await.expect("a page");
        assert_eq!(page.count, number + 1);
    }
    assert_eq!(storage.check_counters().await.expect("counters are read"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_an_upgrade_of_the_system_has_changed_are_named() {
    let database = PostgresDatabase::new();
    let name = format!("{}_und", database.name());
    database.sql(&format!(
        "CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und' ENCODING 'UTF8'"
    ));
    let url = database.url().replace(&database.name(), &name);
    postgres_schema::migrate(&url).await.expect("an empty database is migrated");
    let storage = PostgresStorage::open(&url, &PostgresOptions::default()).await.expect("it is opened");
    assert_eq!(storage.problems().await, Ok(Vec::new()));
    database.sql(&format!("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = '{name}'"));
    let problems = storage.problems().await.expect("it is looked at");
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(
        problem.contains("from 1.0") && problem.contains(&format!("REINDEX DATABASE CONCURRENTLY {name}")),
        "{problem}"
    );
    drop(storage);
    database.sql(&format!("DROP DATABASE {name} WITH (FORCE)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_that_a_server_has_left_in_the_future_are_named_and_brought_back() {
    let database = PostgresDatabase::new();
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    for number in 0..3 {
        storage.add_pin_request(&request(account, number), system_time()).await.expect("it is added");
    }
    assert_eq!(storage.problems().await, Ok(Vec::new()));
    let years = "10 * 365 * 86400000::bigint";
    database.sql(&format!(
        "UPDATE pin_requests SET created = created + {years} WHERE ordinal > 0;
        UPDATE accounts SET last_created = last_created + {years};
        UPDATE roots SET due = due + {years}; UPDATE queue SET due = due + {years};
        UPDATE nodes SET heartbeat = heartbeat + {years}"
    ));
    let problems = storage.problems().await.expect("it is looked at");
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    for found in ["1 accounts give", "1 nodes were last heard of", "3 roots are due", "repair-clock"] {
        assert!(problem.contains(found), "{found} in {problem}");
    }
    drop(storage);
    let named = pinrail_storage_diesel::Database::Postgres(database.url());
    let repaired =
        pinrail_storage_diesel::repair_clock(&named, "ada", system_time()).await.expect("nobody else is there");
    assert_eq!((repaired.accounts, repaired.requests, repaired.roots), (1, 2, 3));
    let storage = database.open().await;
    assert_eq!(storage.problems().await, Ok(Vec::new()));
    assert_eq!(storage.check_counters().await, Ok(Vec::new()));
    let added = storage.add_pin_request(&request(account, 9), system_time()).await.expect("it is added");
    assert!(added.created.since(repaired.now) < std::time::Duration::from_hours(1), "{}", added.created);
    let page = storage.list_pin_requests(&account, &everything(), system_time()).await.expect("a page");
    let times = page.requests.iter().map(|request| request.created).collect::<Vec<_>>();
    assert!(page.count == 4 && times.is_sorted_by(|newer, older| newer > older), "{times:?}");
}
