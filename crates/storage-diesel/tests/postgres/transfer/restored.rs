//! Backups: taken while the service works, restored into either kind of database, refused when they are not whole.

use pinrail_domain::{LeaseKey, RootState};
use pinrail_spec::Timestamp;
use pinrail_storage_diesel::Database;
use pinrail_storage_diesel::transfer::{Arrived, Backup, Restoring};
use serde_json::Value;

use super::dump::{backed_up, dump, file_of, key};
use super::lived::{lease, whole};
use super::{MOVER, lived_in, migrated_file, new_file, open};
use crate::clock::system_time;
use crate::scene::add_while_working;
use crate::server::PostgresDatabase;

async fn restore(bytes: &[u8], to: &Database) -> Arrived {
    let backup = Backup::verify(file_of(bytes)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(backup.keys(), [key()]);
    let restoring = Restoring::begin(to).await.unwrap_or_else(|error| panic!("{error}"));
    restoring.fill(backup, MOVER, system_time(), &mut |_| ()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Restore a backup of one and see that everything is there, and that nothing is called pinned before it was verified.
async fn comes_back(from: &Database, to: &Database) {
    let lived = lived_in(from).await;
    let (manifest, bytes) = backed_up(from).await;
    let arrived = restore(&bytes, to).await;
    assert_eq!((arrived.requeued, arrived.differences), (2, Vec::new()));
    let (before, after) = (dump(from).await, dump(to).await);
    for table in ["accounts", "access_tokens", "signing_keys", "audit_log", "pin_meta", "holds", "root_holders"] {
        let stable = |rows: &Vec<Value>| {
            let mut rows = rows.clone();
            // What is counted of queued roots is no longer pinned.
            for row in &mut rows {
                drop((row["used_bytes"].take(), row["used_queued_roots"].take()));
            }
            rows
        };
        assert_eq!(stable(&before[table]), stable(&after[table]), "{table}");
    }
    let first = i64::try_from(LeaseKey::epoch_before(manifest.created)).expect("it is early");
    let epochs = after["roots"].iter().map(|root| root["epoch"].as_i64().expect("a number"));
    assert!(epochs.into_iter().all(|epoch| epoch >= first), "a node may have been told any epoch up to then");
    assert!(after["roots"].iter().all(|root| root["state"] != "pinned" && root["lease_token"].is_null()));
    assert!(after["pin_requests"].iter().all(|request| request["status"] != "pinned"));

    let storage = open(to).await;
    let found = storage.find_pin_request(&lived.account, &lived.pinned, system_time()).await;
    assert_eq!(found.expect("requests are found").expect("it is there").root.state, RootState::Queued);
    let settlements = lease(&*storage, lived.node, 64).await.into_iter();
    let settlements = settlements.map(|lease| pinrail_storage::Settlement { lease, verdict: whole(5) });
    storage.settle(&settlements.collect::<Vec<_>>(), system_time()).await.expect("leases are settled");
    let found = storage.find_pin_request(&lived.account, &lived.pinned, system_time()).await;
    assert_eq!(found.expect("requests are found").expect("it is there").root.state, RootState::Pinned);
    assert_eq!(storage.check_counters().await.expect("counters are read"), []);
}

#[tokio::test]
async fn a_backup_of_sqlite_is_restored_into_postgres() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::empty());
    comes_back(&migrated_file(&folder, "first.db").await, &Database::Postgres(server.url())).await;
}

#[tokio::test]
async fn a_backup_of_postgres_is_restored_into_sqlite() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::new());
    comes_back(&Database::Postgres(server.url()), &new_file(&folder, "second.db")).await;
}

#[tokio::test]
async fn a_backup_in_the_middle_of_work_is_of_one_moment() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), PostgresDatabase::new());
    let file = migrated_file(&folder, "first.db").await;
    for (number, from) in [file, Database::Postgres(server.url())].iter().enumerate() {
        let (api, worker) = (open(from).await, open(from).await);
        let taking = async {
            let mut taken = Vec::new();
            for _ in 0..3 {
                taken.push(backed_up(from).await.1);
                tokio::task::yield_now().await;
            }
            taken
        };
        let ((), taken) = tokio::join!(add_while_working(&*api, &*worker), taking);
        for (serial, bytes) in taken.iter().enumerate() {
            let to = new_file(&folder, &format!("{number}-{serial}.db"));
            assert_eq!(restore(bytes, &to).await.differences, []);
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_behind_does_not_run_backwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (migrated_file(&folder, "first.db").await, new_file(&folder, "second.db"));
    lived_in(&from).await;
    let (manifest, bytes) = backed_up(&from).await;
    let backup = Backup::verify(file_of(&bytes)).await.expect("it is whole");
    let long_ago = Timestamp::from_millis(1_000_000_000_000);
    let restoring = Restoring::begin(&to).await.expect("it is empty");
    restoring.fill(backup, MOVER, long_ago, &mut |_| ()).await.expect("it is restored");
    assert!(open(&to).await.now().await.expect("it answers") >= manifest.created);
}

#[tokio::test]
async fn a_backup_that_was_cut_or_altered_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = migrated_file(&folder, "first.db").await;
    lived_in(&from).await;
    let (_, bytes) = backed_up(&from).await;
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("it is not empty");
    for length in (0..=end).step_by(499) {
        let refused = Backup::verify(file_of(&bytes[..length])).await.err();
        let line = refused.unwrap_or_else(|| panic!("cut at {length}")).to_string();
        assert!(line.starts_with("the file is no whole backup: ") && line.lines().count() == 1, "{line}");
    }
    // What pads an entry to its block means nothing.
    for place in (0..=end).step_by(61).filter(|place| bytes[*place] != 0) {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        let refused = Backup::verify(file_of(&altered)).await.err();
        let line = refused.unwrap_or_else(|| panic!("altered at {place}")).to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    let mut longer = bytes[..bytes.len() - 1024].to_vec();
    longer.extend(&bytes);
    assert!(Backup::verify(file_of(&longer)).await.err().expect("twice").to_string().contains("follows its end"));
    assert!(Backup::verify(file_of(&bytes)).await.is_ok());
}
