//! What is not moved, each told in one line, with nothing changed.

use pinrail_storage_diesel::Database;
use pinrail_storage_diesel::transfer::{Backup, Restoring, copy};

use super::dump::{backed_up, dump, file_of};
use super::{MOVER, lived_in, migrated_file, new_file, open};
use crate::clock::system_time;
use crate::overlapping::waiting;
use crate::server::PostgresDatabase;

/// Why a copy is refused.
async fn refused(from: &Database, to: &Database) -> String {
    let line = copy(from, to, "ada", system_time(), &mut |_| ()).await.expect_err("it is refused").to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains("s3cret"), "{line}");
    line
}

#[tokio::test]
async fn databases_that_cannot_be_copied_or_filled_are_refused() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::new());
    let file = migrated_file(&folder, "first.db").await;
    let (postgres, empty) = (Database::Postgres(server.url()), new_file(&folder, "empty.db"));
    lived_in(&file).await;
    lived_in(&postgres).await;
    let before = dump(&postgres).await;
    let nowhere = Database::Postgres("postgres://ada:s3cret@127.0.0.1:1/pinrail".to_owned());
    let lost = new_file(&folder, "lost.db");
    let unmigrated = new_file(&folder, "unmigrated.db");
    std::fs::write(folder.path().join("unmigrated.db"), "").expect("there is room");
    let other_name = Database::Sqlite(
        folder.path().join("../").join(folder.path().file_name().expect("it has one")).join("first.db"),
    );
    for (from, to, wanted) in [
        (&file, &postgres, "is not empty: its table nodes has 2 rows; name an empty one"),
        (&postgres, &file, "is not empty: its table nodes has 2 rows"),
        (&file, &file, "is both what to copy and where to"),
        (&file, &other_name, "is both what to copy and where to"),
        (&postgres, &postgres, "is both what to copy and where to"),
        (&lost, &empty, "there is no database"),
        (&unmigrated, &empty, "of this version's migrations, run pinrail-api migrate"),
        (&nowhere, &empty, "no PostgreSQL server answers at postgres://ada@127.0.0.1:1/pinrail"),
        (&file, &nowhere, "no PostgreSQL server answers at postgres://ada@127.0.0.1:1/pinrail"),
        (
            &file,
            &Database::Sqlite("/nowhere/pinrail.db".into()),
            "the folder of the database /nowhere/pinrail.db is not",
        ),
    ] {
        let line = refused(from, to).await;
        assert!(line.contains(wanted), "{line}");
    }
    assert_eq!(dump(&postgres).await, before);
    assert!(!folder.path().join("empty.db").exists(), "what is read is looked at first");
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::new());
    let postgres = Database::Postgres(server.url());
    let to = new_file(&folder, "empty.db");
    server.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000001')");
    assert!(refused(&postgres, &to).await.contains("was migrated by a newer version (29990101000001)"));
    let file = migrated_file(&folder, "first.db").await;
    assert!(refused(&file, &postgres).await.contains("was migrated by a newer version"));
    server.sql("DELETE FROM __diesel_schema_migrations WHERE version = '29990101000001'");
    server.sql(
        "DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
    );
    assert!(refused(&postgres, &to).await.contains("lacks 1 of this version's migrations"));
}

#[tokio::test]
async fn a_database_that_is_in_use_is_not_copied() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::new());
    let (file, postgres) = (migrated_file(&folder, "first.db").await, Database::Postgres(server.url()));
    let to = new_file(&folder, "to.db");
    let using = open(&file).await;
    assert!(refused(&file, &to).await.contains("another program holds the database"));
    drop(using);
    let using = open(&postgres).await;
    using.ready().await.expect("it answers");
    let line = refused(&postgres, &to).await;
    assert!(
        line.contains("a program of Pinrail is connected to postgres://") && line.contains("(127.0.0.1)"),
        "{line}"
    );
    assert!(refused(&file, &postgres).await.contains("a program of Pinrail is connected to"));
    drop(using);
    copy(&postgres, &to, "ada", system_time(), &mut |_| ()).await.expect("nobody uses it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_during_a_copy_waits_for_its_end() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::new());
    let (postgres, to) = (Database::Postgres(server.url()), new_file(&folder, "to.db"));
    lived_in(&postgres).await;
    let mut started = None;
    let mut start = |_| {
        if started.is_none() {
            let postgres = postgres.clone();
            let start = tokio::spawn(async move { open(&postgres).await.ready().await });
            while waiting(&server) == 0 {
                assert!(!start.is_finished(), "it is let in");
                std::thread::yield_now();
            }
            started = Some(start);
        }
    };
    copy(&postgres, &to, "ada", system_time(), &mut start).await.expect("nobody was let in");
    started.expect("rows were copied").await.expect("it ends").expect("it is let in afterwards");
}

#[tokio::test]
async fn a_restore_that_fails_leaves_the_database_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (migrated_file(&folder, "first.db").await, migrated_file(&folder, "to.db").await);
    lived_in(&from).await;
    let (_, bytes) = backed_up(&from).await;
    let before = dump(&to).await;
    let file = file_of(&bytes);
    let backup = Backup::verify(file.try_clone().expect("it is open")).await.expect("it is whole");
    // The disk goes bad between the two readings.
    file.set_len(bytes.len() as u64 / 2).expect("it is ours");
    let restoring = Restoring::begin(&to).await.expect("it is empty");
    let failed =
        restoring.fill(backup, MOVER, system_time(), &mut |_| ()).await.expect_err("a half is missing").to_string();
    assert_eq!(failed.lines().count(), 1, "{failed}");
    assert_eq!(dump(&to).await, before);
}
