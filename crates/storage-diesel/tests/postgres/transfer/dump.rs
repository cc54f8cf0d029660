//! All rows of a database as they stand in a backup of it, to be compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Write};

use pinrail_domain::PublicKeyRecord;
use pinrail_storage_diesel::Database;
use pinrail_storage_diesel::transfer::{KeyFile, Manifest, TransferError, back_up};
use serde_json::Value;

use crate::clock::system_time;

/// The rows of each table, in the order of their text.
pub type Dump = BTreeMap<String, Vec<Value>>;

/// A private key, as far as a backup is concerned.
pub fn key() -> KeyFile {
    KeyFile { id: 2, bytes: b"ed25519-private/00\n".to_vec() }
}

/// The bytes of a backup, and what it says of itself.
pub async fn backed_up(database: &Database) -> (Manifest, Vec<u8>) {
    let mut bytes = Vec::new();
    let keys = |_: &[PublicKeyRecord]| Ok::<_, TransferError>(vec![key()]);
    let manifest = back_up(database, keys, &mut bytes, system_time(), &mut |_| ()).await.expect("it is backed up");
    (manifest, bytes)
}

/// A file that holds this, to be read.
pub fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("there is room");
    std::io::Seek::rewind(&mut file).expect("a file can be rewound");
    file
}

/// All rows of a database.
pub async fn dump(database: &Database) -> Dump {
    let (_, bytes) = backed_up(database).await;
    let mut dump = Dump::new();
    for entry in tar::Archive::new(Cursor::new(bytes)).entries().expect("a tar archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a name").to_string_lossy().into_owned();
        let Some(table) = path.strip_prefix("tables/").and_then(|rest| rest.split('/').next()) else { continue };
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        let rows = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        dump.entry(table.to_owned()).or_default().extend(rows);
    }
    // What moved it is noted where it arrived.
    let moved = |row: &Value| ["restore", "database copy"].iter().any(|action| row["action"] == *action);
    dump.entry("audit_log".to_owned()).or_default().retain(|row| !moved(row));
    for rows in dump.values_mut() {
        rows.sort_by_key(Value::to_string);
    }
    dump
}

/// What a copy of these rows has: the clock may go on, and no lease comes along.
pub fn without_leases(mut dump: Dump) -> Dump {
    dump.get_mut("service").expect("its row")[0]["clock"].take();
    let mut due = BTreeMap::new();
    for root in dump.get_mut("roots").into_iter().flatten() {
        if root["lease_token"].is_null() {
            continue;
        }
        for column in ["lease_token", "lease_until", "lease_node", "lease_account"] {
            root[column].take();
        }
        let is_unfinished = ["queued", "pinning"].contains(&root["state"].as_str().expect("text"));
        due.extend(is_unfinished.then(|| (root["key"].to_string(), root["due"].clone())));
    }
    for claim in dump.get_mut("queue").into_iter().flatten() {
        if let Some(due) = due.get(&claim["root"].to_string()).filter(|_| claim["requests"] != 0) {
            claim["due"] = due.clone();
        }
    }
    for rows in dump.values_mut() {
        rows.sort_by_key(Value::to_string);
    }
    dump
}
