//! `serve`: ready once its schema is there, bounded when it stops, and nothing lost when it is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use pinrail_domain::{Backend, NodeId};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::{NodeRegistration, Nodes};
use pinrail_storage_diesel::{SqliteOptions, SqliteStorage};
use pinrail_testbed::unprivileged::{ReadOnly, Unprivileged};
use serde_json::{Value, json};

use crate::api::Api;

/// Longer than anything here takes on a busy machine.
pub const LONG: Duration = Duration::from_mins(1);

pub const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

/// A service that was started.
pub struct Serving {
    child: Child,
    pub log: Receiver<Value>,
    pub endpoint: String,
}

impl Serving {
    /// Start it on any free port.
    pub fn start(api: &Api) -> Self {
        Self::start_with(api, &[]).0
    }

    /// Start it on any free port with further arguments; what it says when it is up.
    pub fn start_with(api: &Api, further: &[&str]) -> (Self, Value) {
        let mut serving = Self::begin_with(api, further);
        let up = serving.wait_for("pinrail-api is up");
        serving.endpoint = format!("http://{}", up["listen"].as_str().expect("text"));
        (serving, up)
    }

    fn begin(api: &Api) -> Self {
        Self::begin_with(api, &[])
    }

    fn begin_with(api: &Api, further: &[&str]) -> Self {
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"], further].concat();
        let mut command = api.command(&arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let (line, log) = mpsc::channel();
        thread::spawn(move || {
            for text in lines.map_while(Result::ok) {
                // The receiver goes when the test ends.
                let _ =
                    line.send(serde_json::from_str(&text).unwrap_or_else(|_| json!({ "fields": { "text": text } })));
            }
        });
        Self { child, log, endpoint: String::new() }
    }

    /// The fields of the next log line with this message.
    fn wait_for(&self, message: &str) -> Value {
        loop {
            let line = self.log.recv_timeout(LONG).unwrap_or_else(|_| panic!("never said {message:?}"));
            if line["fields"]["message"] == message {
                return line["fields"].clone();
            }
        }
    }

    pub fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let call = agent().get(format!("{}{path}", self.endpoint)).header("authorization", format!("Bearer {token}"));
        answer(call.call())
    }

    pub fn post(&self, body: &Value, token: &str) -> (u16, Value) {
        let call = agent().post(format!("{}/pins", self.endpoint));
        answer(call.header("authorization", format!("Bearer {token}")).send_json(body))
    }

    pub fn terminate(&mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
        self.child.wait().expect("it ends")
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LONG)).proxy(None);
    config.build().into()
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut response = response.expect("it answers");
    (response.status().as_u16(), response.body_mut().read_json().expect("JSON"))
}

/// A data folder with an account that may pin, its token, and a node to give roots to.
pub fn prepared() -> (Api, String) {
    let api = Api::migrated();
    api.prints(&["account", "add", "ada"]);
    api.prints(&["access", "grant", "ada"]);
    let token = api.prints(&["token", "mint", "ada", "--name", "test"]).trim().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(register_node(&api));
    (api, token)
}

async fn register_node(api: &Api) {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let path = api.path("pinrail.db");
    let storage = SqliteStorage::open(&path, SqliteOptions::default(), Arc::new(move || now)).await.expect("migrated");
    let peer_id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    let address = Multiaddr::parse(&format!("/ip4/127.0.0.1/tcp/4401/p2p/{peer_id}")).expect("a multiaddr");
    let id = NodeId::new(now, [7; 10]);
    let peer_id = peer_id.to_owned();
    let node = NodeRegistration { id, backend: Backend::Embedded, peer_id, addresses: vec![address] };
    storage.register_node(&node, now).await.expect("a node");
}

#[test]
fn readiness_does_not_wait_for_ever_for_a_database_that_is_held() {
    let (api, _) = prepared();
    let serving = Serving::start(&api);
    let write = std::fs::File::open(api.path("pinrail.db.lock")).expect("the lock that writers take");
    write.lock().expect("nobody writes for long");
    let (status, body) = serving.get("/health/ready", "");
    assert_eq!((status, &body["error"]["reason"]), (503, &json!("UNAVAILABLE")));
    write.unlock().expect("it was locked");
}

#[test]
fn it_waits_for_its_schema_and_stops_when_told() {
    let api = Api::new();
    std::fs::create_dir_all(api.path("")).expect("it is there");
    let mut serving = Serving::begin(&api);
    api.prints(&["migrate"]);
    serving.endpoint = format!("http://{}", serving.wait_for("pinrail-api is up")["listen"].as_str().expect("text"));
    assert_eq!(serving.get("/health/ready", ""), (200, json!({ "status": "ready" })));
    assert_eq!(serving.get("/health/live", ""), (200, json!({ "status": "live" })));
    assert!(serving.terminate().success());
    serving.wait_for("shutting down");
}

#[test]
fn what_was_answered_202_is_there_after_kill_9() {
    let (api, token) = prepared();
    let mut serving = Serving::start(&api);
    let (id, accepted) = mpsc::channel();
    let posting = (0..4).map(|_| {
        let (endpoint, token, id) = (serving.endpoint.clone(), token.clone(), id.clone());
        thread::spawn(move || while try_post(&endpoint, &token).is_some_and(|accepted| id.send(accepted).is_ok()) {})
    });
    let posting = posting.collect::<Vec<_>>();
    drop(id);
    let mut ids = (0..40).map(|_| accepted.recv_timeout(LONG).expect("it accepts")).collect::<Vec<_>>();
    serving.kill();
    for thread in posting {
        thread.join().expect("it ends with the service");
    }
    ids.extend(accepted);
    let serving = Serving::start(&api);
    for id in &ids {
        let (status, body) = serving.get(&format!("/pins/{id}"), &token);
        assert_eq!((status, &body["pin"]["cid"], &body["status"]), (200, &json!(CID), &json!("queued")));
    }
    let usage = api.json(&["account", "show", "ada", "--json"])["usage"]["requests"].as_u64().expect("a number");
    assert!(usage >= ids.len() as u64, "{usage} of {}", ids.len());
    assert!(!api.check().contains("counter"), "{}", api.check());
}

/// The id of a pin that was accepted, unless the service is gone.
pub fn try_post(endpoint: &str, token: &str) -> Option<String> {
    let call = agent().post(format!("{endpoint}/pins")).header("authorization", format!("Bearer {token}"));
    let mut response = call.send_json(json!({ "cid": CID })).ok()?;
    let body: Value = response.body_mut().read_json().ok()?;
    Some(body["requestid"].as_str()?.to_owned())
}

#[test]
fn a_command_beside_it_takes_effect_at_once() {
    let (api, token) = prepared();
    let serving = Serving::start(&api);
    assert_eq!(serving.get("/pins", &token).0, 200);
    api.prints(&["key", "rotate"]);
    let minted = api.json(&["token", "mint", "ada", "--name", "new", "--json"]);
    let new = minted["token"].as_str().expect("a token");
    assert_eq!((serving.get("/pins", new).0, serving.get("/pins", &token).0), (200, 200), "both keys verify");
    let narrowed = api.prints(&["token", "attenuate", new, "--read-only"]);
    assert_eq!(serving.post(&json!({ "cid": CID }), narrowed.trim()).0, 403);
    api.prints(&["token", "revoke", minted["id"].as_str().expect("an id")]);
    assert_eq!((serving.get("/pins", new).0, serving.get("/pins", narrowed.trim()).0), (401, 401));
    api.prints(&["key", "revoke", "1"]);
    assert_eq!(serving.get("/pins", &token).0, 401);
    let third = api.prints(&["token", "mint", "ada", "--name", "third"]);
    api.prints(&["account", "block", "ada", "--reason", "unpaid"]);
    let (status, body) = serving.post(&json!({ "cid": CID }), third.trim());
    assert_eq!((status, &body["error"]["reason"]), (403, &json!("ACCOUNT_BLOCKED")));
}

#[test]
fn its_log_holds_no_token() {
    let (api, token) = prepared();
    let mut serving = Serving::start(&api);
    assert_eq!(serving.get("/pins", &token).0, 200);
    assert_eq!(serving.get("/pins", "not-a-token").0, 401);
    assert!(serving.terminate().success());
    for line in &serving.log {
        assert!(!line.to_string().contains(&token) && !line.to_string().contains("not-a-token"), "{line}");
    }
}

#[test]
fn at_the_reserve_of_the_disk_pins_are_refused_and_deletes_go_on() {
    let (api, token) = prepared();
    let (mut serving, _) = Serving::start_with(&api, &["--reserve", "1000000TiB"]);
    serving.wait_for("the disk of the database is at its reserve, new pins are answered 503");
    let (status, body) = serving.post(&json!({ "cid": CID }), &token);
    assert_eq!((status, &body["error"]["reason"]), (503, &json!("DATABASE_FULL")));
    assert_eq!(serving.get("/pins", &token).0, 200);
    assert_eq!(serving.get("/health/ready", &token).0, 503);
    assert!(serving.terminate().success());
}

#[test]
fn that_there_is_no_node_is_told_the_operator_once() {
    let api = Api::migrated();
    api.prints(&["account", "add", "ada"]);
    api.prints(&["access", "grant", "ada"]);
    let token = api.prints(&["token", "mint", "ada", "--name", "test"]);
    let mut serving = Serving::start(&api);
    for _ in 0..3 {
        let (status, body) = serving.post(&json!({ "cid": CID }), token.trim());
        assert_eq!((status, &body["error"]["reason"]), (503, &json!("NO_IPFS_NODE")));
    }
    assert!(serving.terminate().success());
    let told = serving.log.iter().filter(|line| line["level"] != "INFO").collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["level"], "WARN");
    let message = told[0]["fields"]["message"].as_str().expect("text");
    assert!(message.contains("no IPFS node is registered, start pinrail-worker"), "{message}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_said_in_one_line() {
    let (full, empty, programs) = (Api::migrated(), Api::new(), tempfile::tempdir().expect("a folder"));
    full.prints(&["key", "rotate"]);
    std::fs::create_dir_all(empty.path("")).expect("a folder of ours");
    let _locked = [ReadOnly::new(full.path("")), ReadOnly::new(empty.path(""))];
    let program = Unprivileged::new(Path::new(env!("CARGO_BIN_EXE_pinrail-api")), programs.path());
    let cases: [(&Api, &[&str]); 3] =
        [(&full, &["serve", "--listen", "127.0.0.1:0"]), (&full, &["account", "add", "ada"]), (&empty, &["migrate"])];
    for (api, arguments) in cases {
        let error = api.fails_as(&program, arguments);
        let database = api.path("pinrail.db");
        let told = format!("error: the database {} or its folder cannot be written, ", database.display());
        assert!(error.starts_with(&told) && error.trim_end().lines().count() == 1, "{arguments:?}: {error}");
    }
}

#[test]
fn a_database_that_another_program_holds_is_said_in_one_line() {
    let api = Api::migrated();
    let database = std::fs::File::options().read(true).write(true).open(api.path("pinrail.db")).expect("it is there");
    // SQLite's own locks are of this kind; whoever has the whole file has them all.
    rustix::fs::fcntl_lock(&database, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .expect("nobody else has it");
    let error = api.fails(&["serve", "--listen", "127.0.0.1:0"]);
    let path = api.path("pinrail.db").display().to_string();
    let process = std::process::id();
    assert!(error.starts_with("error: program-"), "this test's program is named: {error}");
    assert!(error.ends_with(&format!(" (process {process}) holds the database {path}, stop it first\n")), "{error}");
}

#[test]
fn a_port_in_use_is_said_in_one_line() {
    let api = Api::migrated();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let error = api.fails(&["serve", "--listen", &address]);
    assert!(error.starts_with(&format!("error: cannot listen on {address}: ")), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
}
