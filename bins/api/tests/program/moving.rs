//! `database copy`, `backup` and `restore`, as they are typed: what was answered stays answered.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use pinrail_testbed::postgres::{Lent, lend};
use pinrail_testbed::unprivileged::{ReadOnly, Unprivileged};
use serde_json::json;

use crate::api::Api;
use crate::serving::{CID, LONG, Serving, prepared, try_post};

/// An empty database on a server.
fn empty_server() -> Lent {
    lend(|_| ())
}

/// A data folder whose settings name a database.
fn on(database: &str) -> Api {
    let api = Api::new();
    std::fs::write(api.path("pinrail.toml"), format!("database = '{database}'\n")).expect("it is ours");
    api
}

fn text(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}

/// Whether these requests are there for this token, and the service works.
fn answers(api: &Api, token: &str, ids: &[String]) {
    let serving = Serving::start(api);
    for id in ids {
        let (status, body) = serving.get(&format!("/pins/{id}"), token);
        assert_eq!((status, &body["pin"]["cid"], &body["status"]), (200, &json!(CID), &json!("queued")));
    }
    let new = api.prints(&["token", "mint", "ada", "--name", "new"]);
    assert_eq!(serving.post(&json!({ "cid": CID }), new.trim()).0, 202);
    assert!(!api.check().contains("counter"), "{}", api.check());
}

#[test]
fn a_backup_under_load_holds_what_was_answered_and_goes_into_the_other_database() {
    let (api, token) = prepared();
    let serving = Serving::start(&api);
    let (id, accepted) = mpsc::channel();
    let posting = (0..4).map(|_| {
        let (endpoint, token, id) = (serving.endpoint.clone(), token.clone(), id.clone());
        thread::spawn(move || while try_post(&endpoint, &token).is_some_and(|accepted| id.send(accepted).is_ok()) {})
    });
    let posting = posting.collect::<Vec<_>>();
    let mut before = (0..40).map(|_| accepted.recv_timeout(LONG).expect("it accepts")).collect::<Vec<_>>();
    before.extend(accepted.try_iter());
    let file = text(&api.path("backup.tar"));
    let told = api.prints(&["backup", "--to", &file]);
    assert!(told.contains("1 accounts, 1 access tokens, ") && told.contains("1 private keys"), "{told}");
    accepted.recv_timeout(LONG).expect("it goes on accepting");
    drop((serving, accepted));
    for thread in posting {
        thread.join().expect("it ends with the service");
    }

    let server = empty_server();
    let second = on(&server.url());
    let told = second.prints(&["restore", "--from", &file]);
    assert!(told.starts_with("restored postgres://") && told.contains("0 roots were pinned then"), "{told}");
    answers(&second, &token, &before);
    // And back.
    second.prints(&["backup", "--to", &file]);
    let third = Api::new();
    third.prints(&["restore", "--from", &file]);
    answers(&third, &token, &before);
}

/// A file system that met an error is mounted again to be read only: with the write-ahead log of a program that was
/// killed, or without one after it was stopped.
#[test]
fn a_backup_is_made_where_nothing_can_be_written() {
    for is_killed in [true, false] {
        let (api, token) = prepared();
        let mut serving = Serving::start(&api);
        let id = try_post(&serving.endpoint, &token).expect("it accepts");
        if is_killed {
            drop(serving);
        } else {
            assert!(serving.terminate().success());
        }
        assert_eq!(api.path("pinrail.db-wal").exists(), is_killed);
        let elsewhere = tempfile::tempdir().expect("a folder");
        let program = Unprivileged::new(Path::new(env!("CARGO_BIN_EXE_pinrail-api")), elsewhere.path());
        std::fs::set_permissions(elsewhere.path(), PermissionsExt::from_mode(0o777)).expect("it is ours");
        let file = text(&elsewhere.path().join("backup.tar"));
        let read_only = ReadOnly::new(api.path(""));
        api.prints_as(&program, &["backup", "--to", &file]);
        drop(read_only);
        let restored = Api::new();
        restored.prints(&["restore", "--from", &file]);
        answers(&restored, &token, &[id]);
    }
}

#[test]
fn a_database_is_copied_to_a_server_and_back() {
    let (api, token) = prepared();
    let ids = {
        let serving = Serving::start(&api);
        let post = |_| try_post(&serving.endpoint, &token).expect("it accepts");
        (0..3).map(post).collect::<Vec<_>>()
    };
    let server = empty_server();
    let told = api.prints(&["database", "copy", "--to", &server.url()]);
    assert!(told.contains("1 accounts, 1 access tokens, 3 pin requests, 1 roots"), "{told}");
    // The keys stay where they are: it is the same data folder with other settings.
    std::fs::write(api.path("pinrail.toml"), format!("database = '{}'\n", server.url())).expect("it is ours");
    answers(&api, &token, &ids);
    let back = text(&api.path("back.db"));
    api.prints(&["database", "copy", "--from", &server.url(), "--to", &back]);
    let mode = std::fs::metadata(&back).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(api.path("pinrail.toml"), format!("database = 'sqlite:{back}'\n")).expect("it is ours");
    answers(&api, &token, &ids);
}

#[test]
fn what_cannot_be_moved_is_said_in_one_line() {
    let (api, other) = (Api::migrated(), Api::migrated());
    api.prints(&["account", "add", "ada"]);
    api.prints(&["key", "rotate"]);
    other.prints(&["key", "rotate"]);
    let (own, file) = (text(&api.path("pinrail.db")), text(&api.path("backup.tar")));
    api.prints(&["backup", "--to", &file]);
    let whole = std::fs::read(&file).expect("it is there");
    let cut = text(&api.path("cut.tar"));
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("it is ours");
    let nowhere = "postgres://ada:s3cret@127.0.0.1:1/pinrail";
    let (empty, keyless) = (Api::new(), Api::migrated());
    keyless.prints(&["account", "add", "eve"]);
    let cases: [(&Api, &[&str], &str); 11] = [
        (&api, &["database", "copy", "--to", &own], "is both what to copy and where to"),
        (&api, &["database", "copy", "--to", nowhere], "no PostgreSQL server answers at postgres://ada@127.0.0.1:1"),
        (&api, &["database", "copy", "--from", "none.db", "--to", &own], "there is no database none.db"),
        (&api, &["database", "copy", "--to", "mysql://x/y"], "wanted sqlite:<path> or postgres://"),
        (&keyless, &["database", "copy", "--to", &own], "is not empty: its table accounts has 1 rows"),
        (&empty, &["backup", "--to", "unused.tar"], "there is no database"),
        (&api, &["backup", "--to", &own], "is there and is no backup, name another file"),
        (&api, &["backup", "--to", "/nowhere/backup.tar"], "/nowhere/backup.tar cannot be written"),
        (&empty, &["restore", "--from", &cut], "the file is no whole backup"),
        (&other, &["restore", "--from", &file], "1.key is another key than those in the backup, move it away first"),
        (&keyless, &["restore", "--from", &file], "is not empty: its table accounts has 1 rows"),
    ];
    for (api, arguments, wanted) in cases {
        let error = api.fails(arguments);
        assert!(error.starts_with("error: ") && error.contains(wanted), "{arguments:?}: {error}");
        assert!(error.trim_end().lines().count() == 1 && !error.contains("s3cret"), "{error}");
    }
    assert!(!empty.path("pinrail.db").exists() && !keyless.path("keys").exists(), "nothing was touched");
}

#[test]
fn a_backup_is_for_its_owner_alone_and_takes_the_place_of_the_one_before() {
    let api = Api::migrated();
    api.prints(&["key", "rotate"]);
    let file = api.path("kept/backup.tar");
    std::fs::create_dir(api.path("kept")).expect("it is ours");
    for _ in 0..2 {
        api.prints(&["backup", "--to", file.to_str().expect("text")]);
        let mode = std::fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let kept = std::fs::read_dir(api.path("kept")).expect("it is ours").count();
    assert_eq!(kept, 1, "nothing is left beside it");
    let restored = Api::new();
    restored.prints(&["restore", "--from", file.to_str().expect("text")]);
    let mode = std::fs::metadata(restored.path("keys/1.key")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let same = |name: &str| std::fs::read(api.path(name)).ok() == std::fs::read(restored.path(name)).ok();
    assert!(same("keys/1.key"));
    assert!(!restored.check().contains("key"), "{}", restored.check());
}

#[test]
fn a_backup_without_the_private_half_of_the_active_key_says_so() {
    let api = Api::migrated();
    let file = text(&api.path("backup.tar"));
    let warns = || {
        let output = api.command(&["backup", "--to", &file]).output().expect("it runs");
        assert!(output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    assert_eq!(warns(), "", "there is no key yet");
    api.prints(&["key", "rotate"]);
    api.prints(&["key", "rotate"]);
    std::fs::remove_file(api.path("keys/1.key")).expect("it is ours");
    assert_eq!(warns(), "", "the first one signs no more");
    std::fs::rename(api.path("keys/2.key"), api.path("2.key")).expect("it is ours");
    let warning = warns();
    assert!(warning.starts_with("warning: ") && warning.lines().count() == 1, "{warning}");
    assert!(warning.contains("the private half of signing key 2 is not in "), "{warning}");
}
