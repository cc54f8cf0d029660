//! A fresh Pinrail for a test: both binaries on free ports, one account, one token.

use std::path::Path;

use anyhow::Result;
use pinrail_chaos::Kind;
use pinrail_testbed::child::Running;
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::instance::ports::Ports;
use pinrail_testbed::programs;
use tempfile::TempDir;

use crate::{Turn, fresh_database, turn};

/// The name of the account.
pub const ACCOUNT: &str = "tester";

/// A Pinrail that runs; dropping it stops both binaries and removes the data.
#[derive(Debug)]
pub struct Fixture {
    /// A token of the account.
    pub token: String,
    /// A client with that token.
    pub client: Client,
    /// The worker, while it runs.
    pub worker: Option<Running>,
    /// The HTTP service, while it runs.
    pub api: Option<Running>,
    /// Their data folder, their database and their ports.
    pub instance: Instance,
    /// For whatever else a test writes; after the binaries, which are gone before it goes.
    pub folder: TempDir,
    /// Last: the next test begins when all is gone.
    _turn: Turn,
}

impl Fixture {
    /// Starts both binaries.
    pub fn start(kind: Kind) -> Result<Self> {
        let mut fixture = Self::prepare(kind)?;
        fixture.restart()?;
        Ok(fixture)
    }

    /// Makes the data alone.
    pub fn prepare(kind: Kind) -> Result<Self> {
        Self::prepare_on(fresh_database(kind)?)
    }

    /// Makes the data alone, on a database with this URL or in a file.
    pub fn prepare_on(database: Option<String>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        Self::prepare_at(&data, folder, database)
    }

    /// Makes the data alone, in `data`; `folder` is for whatever else a test writes.
    pub fn prepare_at(data: &Path, folder: TempDir, database: Option<String>) -> Result<Self> {
        let turn = turn()?;
        let binaries = programs::for_tests()?.binaries.clone();
        let instance = Instance::at(data, binaries, Ports::free()?)?.on(database);
        let instance = instance.throwing_away_in(&folder.path().join("temporary"))?;
        instance.migrate()?;
        instance.ensure_account(ACCOUNT)?;
        let token = instance.mint_token(ACCOUNT, "tests")?;
        let client = Client::new(&instance.endpoint(), &token);
        Ok(Self { token, client, worker: None, api: None, instance, folder, _turn: turn })
    }

    /// Returns a client with another token.
    pub fn client_with(&self, token: &str) -> Client {
        Client::new(&self.instance.endpoint(), token)
    }

    /// Ends both binaries as a power cut does.
    pub fn kill(&mut self) -> Result<()> {
        for running in [self.worker.take(), self.api.take()].into_iter().flatten() {
            running.kill()?;
        }
        Ok(())
    }

    /// Starts both binaries on the data that is there.
    pub fn restart(&mut self) -> Result<()> {
        self.worker = Some(self.instance.start_worker()?);
        self.api = Some(self.instance.start_api()?);
        Ok(())
    }
}
