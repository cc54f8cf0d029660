//! A fresh Pinrail for a part: both binaries on free ports, one account, one token.

use anyhow::Result;
use tempfile::TempDir;

use super::part::Context;
use crate::building;
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
    pub api: Running,
    pub worker: Running,
    pub instance: Instance,
    /// The data folder; last, so that the binaries are gone before it goes.
    pub folder: TempDir,
}

impl Fixture {
    pub fn start(context: &Context, step: &Step) -> Result<Self> {
        let binaries = building::workspace(&context.environment, step)?;
        step.detail("starting both binaries");
        let folder = tempfile::tempdir()?;
        let instance = Instance::at(folder.path(), binaries, Ports::free()?)?;
        instance.migrate()?;
        instance.ensure_account(ACCOUNT)?;
        let token = instance.mint_token(ACCOUNT, "tests")?;
        Ok(Self {
            client: Client::new(&instance.endpoint(), &token),
            token,
            worker: instance.start_worker()?,
            api: instance.start_api()?,
            instance,
            folder,
        })
    }
}
