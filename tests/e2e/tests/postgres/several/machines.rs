//! Two machines on one database, each with a data folder and programs of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pinrail_e2e::server;
use pinrail_testbed::child::Running;
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::instance::pins::Pinned;
use pinrail_testbed::instance::ports::Ports;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::postgres::Server;
use pinrail_testbed::programs;
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::checks::PATIENCE;

/// Leases run out soon after their worker died.
pub const LEASE: Duration = Duration::from_secs(3);
const SETTINGS: &str = "[worker]\nlease = '3s'\nfirst-retry = '500ms'\nrotation = '1s'\n";

/// Two machines that have the database in common.
pub struct Machines {
    server: &'static Server,
    database: String,
    pub homes: [Instance; 2],
    pub clients: Vec<Client>,
    pub apis: Vec<Running>,
    pub workers: [Option<Running>; 2],
    /// Their ids, in the order of the machines.
    pub nodes: Vec<String>,
    /// The sample as the first worker has pinned it, and the request for what nobody has.
    pub pinned: String,
    pub unfinished: String,
    /// Last, so that the programs are gone before it goes.
    pub folder: TempDir,
}

impl Machines {
    pub fn set_up() -> Result<Self> {
        let server = server()?;
        let (folder, database) = (tempfile::tempdir()?, server.create()?);
        let binaries = &programs::for_tests()?.binaries;
        let machine = |name: &str| -> Result<Instance> {
            let home = Instance::at(&folder.path().join(name), binaries.clone(), Ports::free()?)?;
            fs::write(home.data().join("pinrail.toml"), SETTINGS)?;
            Ok(home.on(Some(server.url(&database))))
        };
        let homes = [machine("first")?, machine("second")?];
        Ok(Self {
            server,
            database,
            homes,
            clients: Vec::new(),
            apis: Vec::new(),
            workers: [None, None],
            nodes: Vec::new(),
            pinned: String::new(),
            unfinished: String::new(),
            folder,
        })
    }

    /// What the operator is told of the nodes, in the order in which they were made.
    pub fn list_nodes(&self) -> Result<Vec<Value>> {
        let listed = self.homes[0].command(&["node", "list", "--json"])?;
        serde_json::from_str(&listed).with_context(|| format!("`node list --json` printed {listed}"))
    }

    /// Which of the nodes a request was given to: the one whose addresses are its delegates.
    pub fn node_of(&self, status: &Value) -> Result<usize> {
        let nodes = self.list_nodes()?;
        let place = nodes.iter().position(|node| node["addresses"] == status["delegates"]);
        place.with_context(|| format!("the delegates are no node's addresses: {status}, {nodes:?}"))
    }

    /// Add a pin through one of the apis; its request and the place of its node.
    pub fn add(&self, api: usize, cid: &str, origins: &[String]) -> Result<(String, usize)> {
        let pin = json!({ "cid": cid, "origins": origins });
        let status = self.clients[api].post("/pins", &pin)?.expect(202)?;
        let request = status["requestid"].as_str().context("no requestid")?.to_owned();
        Ok((request, self.node_of(&status)?))
    }

    /// Ask for a request until it is so.
    pub fn until(&self, request: &str, what: &str, is_so: impl Fn(&Value) -> Result<bool>) -> Result<()> {
        let watch = Stopwatch::start();
        loop {
            let status = self.clients[0].get(&format!("/pins/{request}"))?.expect(200)?;
            if is_so(&status)? {
                return Ok(());
            }
            ensure!(!watch.passed(PATIENCE), "never {what}: {status}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn follow(&self, request: &str) -> Result<Pinned> {
        self.clients[0].follow(request, PATIENCE, |_| ())
    }

    pub fn sql(&self, sql: &str) -> Result<String> {
        Ok(self.server.sql(&self.database, sql)?)
    }

    pub fn sample(&self) -> PathBuf {
        self.folder.path().join("sample")
    }

    /// The CID of a file or folder that nobody provides any more.
    pub fn cid_of(&self, path: &Path) -> Result<String> {
        let provider = Provider::start(&self.homes[0], path)?;
        let cid = provider.cid.clone();
        provider.stop()?;
        Ok(cid)
    }
}
