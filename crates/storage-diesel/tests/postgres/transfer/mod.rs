//! Whole databases moved between files and servers: nothing is lost, and everything goes on.

mod dump;
mod lived;
mod refusals;
mod restored;

use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::RootState;
use pinrail_storage_diesel::transfer::{self, Mover, copy};
use pinrail_storage_diesel::{ConsistencyCheck, Database, DatabaseOptions};
use tempfile::TempDir;

use crate::clock::system_time;
use crate::scene::request;
use crate::server::PostgresDatabase;
use dump::{dump, without_leases};
use lived::{Lived, lease, live_in, whole};

/// Who restores what, in these tests.
const MOVER: Mover<'static> = Mover { by: "ada", from: "a backup" };

/// A SQLite file that is not there yet.
fn new_file(folder: &TempDir, name: &str) -> Database {
    Database::Sqlite(folder.path().join(name))
}

/// A migrated SQLite file.
async fn migrated_file(folder: &TempDir, name: &str) -> Database {
    let database = new_file(folder, name);
    database.migrate().await.expect("a new file is migrated");
    database
}

async fn open(database: &Database) -> Arc<dyn ConsistencyCheck> {
    let options = DatabaseOptions {
        wait: Duration::ZERO,
        commit_interval: Duration::ZERO,
        connections: 4,
        actor: "ada".to_owned(),
    };
    database.open(&options, Arc::new(system_time)).await.expect("it is opened")
}

/// A database in which all that is kept was done, at rest.
async fn lived_in(database: &Database) -> Lived {
    live_in(&*open(database).await).await
}

/// Copy one to another, which has the same rows then.
async fn copy_all(from: &Database, to: &Database) {
    let mut told = Vec::new();
    copy(from, to, "ada", system_time(), &mut |moved| told.push(moved)).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(told.iter().any(|moved| moved.table == "roots" && moved.rows == moved.of), "{told:?}");
    assert_eq!(without_leases(dump(from).await), without_leases(dump(to).await));
}

/// Whether everything that a service does goes on where it was.
async fn goes_on(database: &Database, lived: &Lived) {
    let storage = open(database).await;
    let found = async |id| {
        let found = storage.find_pin_request(&lived.account, id, system_time()).await.expect("requests are found");
        found.expect("it is there").root.state
    };
    assert_eq!(found(&lived.pinned).await, RootState::Pinned);
    assert!(storage.standing(&lived.token).await.expect("tokens are found").is_some_and(|it| !it.is_revoked()));
    let added = storage.add_pin_request(&request(lived.account, 500), system_time()).await.expect("it is added");
    // Whoever held the lease knows another database: the root is free at once, for whoever comes.
    let leases = lease(&*storage, lived.node, 64).await;
    let mut settlements = Vec::new();
    for key in leases {
        settlements.push(pinrail_storage::Settlement { lease: key, verdict: whole(5) });
    }
    storage.settle(&settlements, system_time()).await.expect("leases are settled");
    for id in [&lived.leased, &added.id] {
        assert_eq!(found(id).await, RootState::Pinned);
    }
    assert_eq!(storage.check_counters().await.expect("counters are read"), []);
}

#[tokio::test]
async fn everything_is_copied_from_sqlite_to_postgres_and_back() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::empty());
    let file = migrated_file(&folder, "first.db").await;
    let postgres = Database::Postgres(server.url());
    let lived = lived_in(&file).await;
    copy_all(&file, &postgres).await;
    let back = new_file(&folder, "back.db");
    copy_all(&postgres, &back).await;
    assert_eq!(without_leases(dump(&file).await), without_leases(dump(&back).await));
    for database in [&postgres, &back] {
        goes_on(database, &lived).await;
    }
}

#[tokio::test]
async fn everything_is_copied_between_databases_of_one_kind() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::new());
    let (postgres, other) = (Database::Postgres(server.url()), PostgresDatabase::empty());
    let lived = lived_in(&postgres).await;
    copy_all(&postgres, &Database::Postgres(other.url())).await;
    goes_on(&Database::Postgres(other.url()), &lived).await;
    let (file, again) = (new_file(&folder, "file.db"), migrated_file(&folder, "again.db").await);
    copy_all(&postgres, &file).await;
    copy_all(&file, &again).await;
    goes_on(&again, &lived).await;
}

#[tokio::test]
async fn more_than_a_page_is_copied() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::new());
    let file = migrated_file(&folder, "first.db").await;
    let postgres = Database::Postgres(server.url());
    let storage = open(&postgres).await;
    let (account, _) = crate::scene::settle_in(&*storage, pinrail_domain::Limits::UNLIMITED).await;
    let adding = (0..1_203).map(|number| {
        let request = request(account, number);
        let storage = Arc::clone(&storage);
        async move { storage.add_pin_request(&request, system_time()).await.map(drop) }
    });
    let added = futures::future::join_all(adding).await;
    assert!(added.iter().all(Result::is_ok));
    drop(storage);
    copy_all(&postgres, &file).await;
    assert_eq!(dump(&file).await["pin_requests"].len(), 1_203);
}

#[tokio::test]
async fn no_table_is_forgotten() {
    let server = PostgresDatabase::new();
    let known = server.sql("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()");
    let mut known = known.lines().filter(|name| *name != "__diesel_schema_migrations").collect::<Vec<_>>();
    known.sort_unstable();
    let mut moved = transfer::tables().await.expect("there are some");
    moved.sort_unstable();
    assert_eq!(moved, known);
    // Each of them has rows in the tests above, so none is compared with nothing.
    let folder = tempfile::tempdir().expect("a folder");
    let file = migrated_file(&folder, "first.db").await;
    lived_in(&file).await;
    let dump = dump(&file).await;
    assert_eq!(dump.keys().map(String::as_str).collect::<Vec<_>>(), moved);
}
