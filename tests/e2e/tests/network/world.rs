//! A small public network: Kubos that are servers of its DHT, and a Pinrail that may dial public addresses alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pinrail_chaos::Kind;
use pinrail_e2e::{Fixture, eventually};
use pinrail_testbed::environment::Environment;
use pinrail_testbed::instance::pins::Pinned;
use pinrail_testbed::kubo::{self, Repository};
use pinrail_testbed::programs;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::namespace::{address, enter};

/// Where each Kubo listens.
const PORT: u16 = 4001;
/// The host of Pinrail.
const PINRAIL: u8 = 1;
/// How long a small pin may take that has to be found first.
pub const FOUND: Duration = Duration::from_secs(10);
/// How long the Kubos may take to know each other.
const MEETING: Duration = Duration::from_secs(30);

/// The network, with what runs on it.
pub struct World {
    /// Servers of the DHT, each of which knows the first.
    pub kubos: Vec<Kubo>,
    pub pinrail: Fixture,
    /// Last, so that the programs are gone before it.
    folder: TempDir,
}

/// A Kubo on a host of its own.
pub struct Kubo {
    pub repository: Repository,
    /// Where it is, with its peer id.
    pub address: String,
}

impl World {
    /// Start so many Kubos, the first with an identity of RSA, as the public network's bootstrap servers have one. Pinrail
    /// is made and not started.
    pub fn start(kubos: u8) -> Result<Self> {
        let ipfs = kubo::find(&Environment::read())?;
        // They are built where there still is a network.
        programs::for_tests()?;
        enter()?;
        let folder = tempfile::tempdir()?;
        let pinrail = Fixture::prepare(Kind::Sqlite)?;
        let mut world = Self { kubos: Vec::new(), pinrail, folder };
        for number in 0..kubos {
            let first = world.kubos.first().map(|kubo| kubo.address.clone());
            let at = world.folder.path().join(format!("kubo-{number}"));
            world.kubos.push(Kubo::start(&ipfs, &at, number + PINRAIL + 1, first)?);
        }
        world.wait_until_met()?;
        Ok(world)
    }

    /// Start Pinrail on its public address, with further settings of its worker.
    pub fn start_pinrail(&mut self, settings: &[&str]) -> Result<()> {
        let listen = format!("/ip4/{}/tcp/4401", address(PINRAIL));
        let public = ["--allow-private", "false", "--listen", &listen];
        let instance = &self.pinrail.instance;
        self.pinrail.worker = Some(instance.start_worker_with(&[&public, settings].concat())?);
        self.pinrail.api = Some(instance.start_api_with(&["--allow-private", "false"])?);
        Ok(())
    }

    /// Wait until each Kubo but a single one is connected to some other.
    fn wait_until_met(&self) -> Result<()> {
        self.kubos.iter().filter(|_| self.kubos.len() > 1).try_for_each(|kubo| {
            let what = format!("peer of {}", kubo.address);
            eventually(MEETING, &what, || Ok(!kubo.repository.run(&["swarm", "peers"])?.trim().is_empty()))
        })
    }

    /// Have a CID pinned, within the time for a small one that has to be found first.
    pub fn pin(&self, cid: &str, origins: &[String]) -> Result<Pinned> {
        let client = &self.pinrail.client;
        client.follow(&client.add_pin(cid, "network", origins)?, FOUND, |_| {})
    }
}

impl Kubo {
    fn start(ipfs: &Path, folder: &Path, host: u8, first: Option<String>) -> Result<Self> {
        fs::create_dir(folder)?;
        let algorithm = if first.is_some() { "--algorithm=ed25519" } else { "--algorithm=rsa" };
        let settings = server_settings(host, first);
        let mut repository = Repository::init_with(ipfs.to_owned(), folder, &[algorithm], settings)?;
        repository.start().context("the daemon of a Kubo")?;
        let id = repository.run(&["id", "-f=<id>"])?;
        let address = format!("/ip4/{}/tcp/{PORT}/p2p/{}", address(host), id.trim());
        Ok(Self { repository, address })
    }
}

/// A server of the DHT that announces what it has when it is told to.
fn server_settings(host: u8, first: Option<String>) -> Vec<(&'static str, Value)> {
    let bootstrap: Vec<String> = first.into_iter().collect();
    vec![
        ("Addresses.Swarm", json!([format!("/ip4/{}/tcp/{PORT}", address(host))])),
        ("Bootstrap", json!(bootstrap)),
        ("Provide.Enabled", json!(true)),
        ("Provide.Strategy", json!("mfs")),
        ("Routing.Type", json!("dhtserver")),
    ]
}
