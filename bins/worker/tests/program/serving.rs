//! `serve`: pins what is asked for and serves it, and loses nothing when it is stopped or killed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use pinrail_spec::Status;
use pinrail_storage_diesel::migrate;
use pinrail_testbed::unprivileged::{ReadOnly, Unprivileged};
use serde_json::{Value, json};

use crate::home::Home;
use crate::program::{LONG, Running, command, fails, fails_as, prints, write_file};

fn get(url: &str) -> (u16, Value) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LONG)).proxy(None);
    let agent: ureq::Agent = config.build().into();
    let mut response = agent.get(url).call().expect("it answers");
    (response.status().as_u16(), response.body_mut().read_json().expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_pinned_and_served_and_outlives_restarts() {
    let mut home = Home::new().await;
    let file = write_file(home.path("file"), 5_000_000, 1);
    let (mut provider, cid, addresses) = Running::provide(&home.data(), &file);
    let (mut worker, health) = Running::serve(&home.data());
    assert_eq!(get(&format!("{health}/ready")), (200, json!({ "status": "ready" })));
    assert_eq!(get(&format!("{health}/live")), (200, json!({ "status": "live" })));
    let request = home.post(&cid, &addresses).await;
    assert!(request.delegates[0].as_str().starts_with("/ip4/127.0.0.1/tcp/"));
    home.until_pinned(&request).await;
    assert_eq!(home.read(&request).await.root.size.map(|size| size.blocks), Some(6));
    provider.kill();
    assert!(worker.terminate().success());
    worker.wait_for("all leases are given back");
    let refused = fails(&home.data(), &["fetch", &cid]);
    assert!(refused.contains("no worker runs on ") && refused.contains("--from MULTIADDR"), "{refused}");
    let (mut worker, _) = Running::serve(&home.data());
    worker.kill();
    let (_worker, _) = Running::serve(&home.data());
    let out = home.path("out");
    prints(&home.data(), &["fetch", &cid, "--output", out.to_str().expect("UTF-8")]);
    assert!(fs::read(file).expect("it is there") == fs::read(out).expect("it was written"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_amid_fetches_goes_on_where_it_was() {
    let mut home = Home::new().await;
    let file = write_file(home.path("file"), 60_000_000, 2);
    let (_provider, cid, addresses) = Running::provide(&home.data(), &file);
    let (mut worker, _) = Running::serve(&home.data());
    let request = home.post(&cid, &addresses).await;
    let second = home.post("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", &[]).await;
    home.until(&request, "begun", |seen| seen.status != Status::Queued).await;
    worker.kill();
    assert_ne!(home.read(&request).await.status, Status::Failed);
    let (_worker, _) = Running::serve(&home.data());
    home.until_pinned(&request).await;
    let out = home.path("out");
    prints(&home.data(), &["fetch", &cid, "--output", out.to_str().expect("UTF-8")]);
    assert!(fs::read(file).expect("it is there") == fs::read(out).expect("it was written"));
    assert_ne!(home.read(&second).await.status, Status::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_nobody_had_is_fetched_from_the_peer_that_connects_later() {
    let mut home = Home::new().await;
    let file = write_file(home.path("file"), 2_000_000, 3);
    let (mut first, cid, _) = Running::provide(&home.data(), &file);
    first.kill();
    let (_worker, _) = Running::serve(&home.data());
    let request = home.post(&cid, &[]).await;
    home.until(&request, "waiting", |seen| seen.root.waiting).await;
    assert_eq!(home.read(&request).await.status, Status::Pinning);
    // A request by somebody else who knows where it is serves the first one too.
    let (_provider, cid, addresses) = Running::provide(&home.data(), &file);
    home.post(&cid, &addresses).await;
    home.until_pinned(&request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_last_request_releases_the_root() {
    let mut home = Home::new().await;
    let file = write_file(home.path("file"), 2_000_000, 4);
    let (_provider, cid, addresses) = Running::provide(&home.data(), &file);
    let (worker, _) = Running::serve(&home.data());
    let request = home.post(&cid, &addresses).await;
    home.until_pinned(&request).await;
    home.remove(&request).await;
    assert_eq!(worker.wait_for("released")["root"], json!(cid));
    assert!(home.storage.check_counters().await.expect("the database answers").is_empty());
    let again = home.post(&cid, &addresses).await;
    home.until_pinned(&again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_and_a_port_in_use_are_said_in_one_line() {
    let home = Home::new().await;
    let data = home.data();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let health = format!("127.0.0.1:{port}");
    let error = fails(&data, &["serve", "--health", &health]);
    assert!(error.starts_with(&format!("error: cannot listen on {health} for /health: ")), "{error}");
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let error = fails(&data, &["serve", "--health", "127.0.0.1:0", "--listen", &listen]);
    assert!(error.starts_with(&format!("error: cannot listen on {listen}: ")), "{error}");
    let (_worker, _) = Running::serve(&data);
    let error = fails(&data, &["serve", "--health", "127.0.0.1:0"]);
    let blocks = data.join("blocks");
    let told = format!(
        "error: block store {} is in use by another process, wanted one worker for each folder\n",
        blocks.display()
    );
    assert_eq!(error, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_is_told_as_whom_to_work_in_the_folder_of_another_user() {
    let home = Home::new().await;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(home.data(), Some(998), None).expect("root may");
    let folder = home.data().display().to_string();
    let told = format!(
        "error: {folder} belongs to user id 998, and this runs as root: use `sudo -u '#998' pinrail-worker ...`\n"
    );
    for arguments in [&["serve", "--health", "127.0.0.1:0"][..], &["check"]] {
        assert_eq!(fails(&home.data(), arguments), told);
    }
    assert!(!home.data().join("blocks").exists() && !home.data().join("node").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_written_is_said_in_one_line() {
    let home = Home::new().await;
    let (mut worker, _) = Running::serve(&home.data());
    worker.kill();
    fs::set_permissions(home.path(""), PermissionsExt::from_mode(0o755)).expect("it is ours");
    let programs = tempfile::tempdir().expect("a folder");
    let program = Unprivileged::new(Path::new(env!("CARGO_BIN_EXE_pinrail-worker")), programs.path());
    let serve = ["serve", "--health", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let _locked = ReadOnly::new(home.data());
    let error = fails_as(&program, &home.data(), &serve);
    assert!(error.contains(&home.data().join("blocks").display().to_string()), "{error}");
    assert!(error.contains("cannot be written") || error.contains("Permission denied"), "{error}");
    let empty = home.path("empty");
    fs::create_dir(&empty).expect("a folder of ours");
    let _locked = ReadOnly::new(empty.clone());
    let error = fails_as(&program, &empty, &serve);
    let told = format!("error: the folder {} cannot be made: ", empty.join("blocks").display());
    assert!(error.starts_with(&told), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_holds_is_said_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("pinrail.db");
    migrate(&database).expect("a new database");
    let file = fs::File::options().read(true).write(true).open(&database).expect("it is there");
    // SQLite's own locks are of this kind; whoever has the whole file has them all.
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("nobody else has it");
    let error = fails(folder.path(), &["serve", "--health", "127.0.0.1:0"]);
    let (process, database) = (std::process::id(), database.display());
    assert!(error.starts_with("error: program-"), "this test's program is named: {error}");
    assert!(
        error.ends_with(&format!(" (process {process}) holds the database {database}, stop it first\n")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_run_is_said_to_whoever_fetches_from_it() {
    let home = Home::new().await;
    let (mut worker, _) = Running::serve(&home.data());
    let here = ["fetch", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", "--timeout", "4s"];
    let error = fails(&home.data(), &here);
    assert!(!error.contains("does not answer"), "it answers that it has nothing: {error}");
    worker.kill();
    let error = fails(&home.data(), &here);
    let told = format!("error: no worker runs on {}, start it, or name a peer", home.data().display());
    assert!(error.starts_with(&told), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_bounded_while_a_fetch_runs_and_spends_no_attempt() {
    let mut home = Home::new().await;
    let (mut worker, _) = Running::serve(&home.data());
    let request = home.post("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", &[]).await;
    home.until(&request, "begun", |seen| seen.status == Status::Pinning).await;
    let ended = tokio::task::spawn_blocking(move || worker.terminate());
    let ended = tokio::time::timeout(Duration::from_mins(1), ended).await.expect("it ends").expect("no panic");
    assert!(ended.success());
    assert_eq!(home.read(&request).await.root.attempts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_neither_ends_a_fetch_nor_holds_up_a_stop() {
    let mut home = Home::new().await;
    let file = write_file(home.path("file"), 5_000_000, 5);
    let (_provider, cid, addresses) = Running::provide(&home.data(), &file);
    let (mut worker, health) = Running::serve(&home.data());
    // The programs take turns at writing by this lock.
    let lock = fs::File::options().write(true).open(home.data().join("pinrail.db.turn")).expect("it is there");
    let request = home.post(&cid, &addresses).await;
    lock.lock().expect("a lock that is free");
    assert_eq!(get(&format!("{health}/ready")).0, 503);
    worker.wait_for("the database has not answered for 10 seconds, fetches go on");
    lock.unlock().expect("it is ours");
    home.until_pinned(&request).await;
    lock.lock().expect("a lock that is free");
    let ended = tokio::task::spawn_blocking(move || worker.terminate());
    let ended = tokio::time::timeout(Duration::from_mins(1), ended).await.expect("it ends").expect("no panic");
    assert!(ended.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_hashes_every_block_and_names_the_one_that_is_damaged() {
    let mut home = Home::new().await;
    let file = write_file(home.path("file"), 3_000_000, 6);
    let (_provider, cid, addresses) = Running::provide(&home.data(), &file);
    let (mut worker, _) = Running::serve(&home.data());
    let request = home.post(&cid, &addresses).await;
    home.until_pinned(&request).await;
    assert!(fails(&home.data(), &["check"]).contains("in use by another process"));
    assert!(worker.terminate().success());
    let found: Value = serde_json::from_str(&prints(&home.data(), &["check", "--json"])).expect("JSON");
    assert_eq!((&found["blocks"], &found["pinned"], &found["problems"]), (&json!(4), &json!(1), &json!([])));
    damage(&home.data().join("blocks"));
    let output = command(&home.data(), &["check"]).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.starts_with("problem: block bafk"), "{told}");
}

/// Change a byte in the middle of a block.
fn damage(blocks: &Path) {
    let path = blocks.join("00000000.seg");
    let file = fs::File::options().read(true).write(true).open(&path).expect("a segment");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1_500_000).expect("it is long enough");
    file.write_all_at(&[!byte[0]], 1_500_000).expect("it can be written");
}
