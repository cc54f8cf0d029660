//! A fresh Pinrail for a check: both binaries on free ports, one account, one token.

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use super::part::Context;
use crate::child::Running;
use crate::instance::Instance;
use crate::instance::client::Client;
use crate::instance::ports::Ports;
use crate::progress::Step;

/// The name of the account.
pub const ACCOUNT: &str = "tester";

/// A Pinrail that runs; dropping it stops both binaries and removes the data.
pub struct Fixture {
    pub token: String,
    pub client: Client,
    pub worker: Option<Running>,
    pub api: Option<Running>,
    pub instance: Instance,
    /// What else a check writes; last, so that the binaries are gone before it goes.
    pub folder: TempDir,
}

impl Fixture {
    /// With both binaries running.
    pub fn start(context: &Context, step: &Step) -> Result<Self> {
        let mut fixture = Self::prepare(context, step)?;
        fixture.restart()?;
        Ok(fixture)
    }

    /// With the data alone.
    pub fn prepare(context: &Context, step: &Step) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        Self::prepare_at(&data, folder, context, step)
    }

    /// With the data alone, in `data`; `folder` is for whatever else a check writes.
    pub fn prepare_at(data: &Path, folder: TempDir, context: &Context, step: &Step) -> Result<Self> {
        let binaries = context.binaries(step)?;
        let instance = Instance::at(data, binaries, Ports::free()?)?.on(context.fresh_database()?);
        let instance = instance.throwing_away_in(&folder.path().join("temporary"))?;
        instance.migrate()?;
        instance.ensure_account(ACCOUNT)?;
        let token = instance.mint_token(ACCOUNT, "tests")?;
        let client = Client::new(&instance.endpoint(), &token);
        Ok(Self { token, client, worker: None, api: None, instance, folder })
    }

    /// A client with another token.
    pub fn client_with(&self, token: &str) -> Client {
        Client::new(&self.instance.endpoint(), token)
    }

    /// End both binaries as a power cut does.
    pub fn kill(&mut self) -> Result<()> {
        for running in [self.worker.take(), self.api.take()].into_iter().flatten() {
            running.kill()?;
        }
        Ok(())
    }

    /// Start both binaries on the data that is there.
    pub fn restart(&mut self) -> Result<()> {
        self.worker = Some(self.instance.start_worker()?);
        self.api = Some(self.instance.start_api()?);
        Ok(())
    }
}
