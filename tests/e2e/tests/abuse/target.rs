//! The Pinrail that is attacked: both binaries, an attacker's account and a victim's.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use pinrail_e2e::{database, fresh_database};
use pinrail_testbed::child::Running;
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::instance::ports::Ports;
use pinrail_testbed::programs;

/// An account's token, and a client with it.
pub struct Tenant {
    pub token: String,
    pub client: Client,
}

/// A Pinrail that runs.
pub struct Target {
    pub attacker: Tenant,
    pub victim: Tenant,
    pub api: Running,
    pub worker: Running,
    pub instance: Instance,
    folder: PathBuf,
}

impl Target {
    /// Start both binaries on data in `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, &[])
    }

    /// The same with further settings of the API.
    pub fn start_with(folder: &Path, settings: &[&str]) -> Result<Self> {
        let binaries = programs::for_tests()?.binaries.clone();
        let instance = Instance::at(&folder.join("data"), binaries, Ports::free()?)?;
        let instance = instance.on(fresh_database(database()?)?).throwing_away_in(&folder.join("temporary"))?;
        instance.migrate()?;
        let (attacker, victim) = (tenant(&instance, "attacker")?, tenant(&instance, "victim")?);
        let (worker, api) = (instance.start_worker()?, instance.start_api_with(settings)?);
        Ok(Self { attacker, victim, api, worker, instance, folder: folder.to_owned() })
    }

    /// Another account.
    pub fn add_tenant(&self, name: &str) -> Result<Tenant> {
        tenant(&self.instance, name)
    }

    /// Start the API anew, with these settings only.
    pub fn restart_api(self, settings: &[&str]) -> Result<Self> {
        self.api.stop()?;
        Ok(Self { api: self.instance.start_api_with(settings)?, ..self })
    }

    /// A place for a victim's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stop both; an error if one of them is gone or does not stop.
    pub fn stop(self) -> Result<()> {
        for running in [self.worker, self.api] {
            let status = running.stop()?;
            ensure!(status.success(), "it ended with {status}");
        }
        Ok(())
    }
}

fn tenant(instance: &Instance, name: &str) -> Result<Tenant> {
    instance.ensure_account(name)?;
    let token = instance.mint_token(name, "abuse")?;
    Ok(Tenant { client: Client::new(&instance.endpoint(), &token), token })
}
