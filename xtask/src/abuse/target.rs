//! The Pinrail that is attacked: both binaries, an attacker's account and a victim's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, ensure};
use pinrail_postgres_fixture::{Server, ServerOptions};

use crate::building::Programs;
use crate::chaos::Kind;
use crate::child::Running;
use crate::environment::Environment;
use crate::instance::Instance;
use crate::instance::client::Client;
use crate::instance::ports::Ports;
use crate::progress::Step;
use crate::tools::postgres;

/// What an attack is run with.
#[derive(Clone)]
pub struct Setup {
    pub programs: Programs,
    server: Option<Arc<Server>>,
    folder: PathBuf,
}

impl Setup {
    /// With a PostgreSQL server if that is the database.
    pub fn new(environment: &Environment, programs: Programs, database: Kind, step: &Step) -> Result<Self> {
        let server = match database {
            Kind::Sqlite => None,
            Kind::Postgres => {
                postgres::ensure(environment, step)?;
                Some(Arc::new(Server::start(&ServerOptions::default())?))
            }
        };
        Ok(Self { programs, server, folder: PathBuf::new() })
    }

    pub(super) fn in_folder(&self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self.clone() }
    }

    fn instance(&self) -> Result<Instance> {
        let database = match &self.server {
            Some(server) => Some(server.url(&server.create()?)),
            None => None,
        };
        let instance = Instance::at(&self.folder.join("data"), self.programs.binaries.clone(), Ports::free()?)?;
        let instance = instance.on(database).throwing_away_in(&self.folder.join("temporary"))?;
        instance.migrate()?;
        Ok(instance)
    }
}

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
    pub setup: Setup,
}

impl Target {
    /// Start both binaries.
    pub fn start(setup: &Setup) -> Result<Self> {
        Self::start_with(setup, &[])
    }

    /// The same with further settings of the API.
    pub fn start_with(setup: &Setup, settings: &[&str]) -> Result<Self> {
        let instance = setup.instance()?;
        let (attacker, victim) = (tenant(&instance, "attacker")?, tenant(&instance, "victim")?);
        let (worker, api) = (instance.start_worker()?, instance.start_api_with(settings)?);
        Ok(Self { attacker, victim, api, worker, instance, setup: setup.clone() })
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
        &self.setup.folder
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
