//! A Pinrail on this machine: its data folder, its ports, and the two binaries on them.

pub mod client;
pub mod operator;
pub mod pins;
pub mod ports;
pub mod provider;
pub mod sample;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cache;
use crate::child::Running;
use crate::command::program;
use crate::programs::Binaries;
use client::is_ready;
use ports::Ports;

/// How long a binary may take until it is ready: longer than it waits for its schema.
const READY: Duration = Duration::from_secs(45);

/// The data folder, the database and the ports of one Pinrail.
#[derive(Clone, Debug)]
pub struct Instance {
    binaries: Binaries,
    data: PathBuf,
    /// The folder for what the binaries throw away; it goes with ours when they are killed.
    temporary: PathBuf,
    /// The database's URL; without one it is SQLite in the data folder.
    database: Option<String>,
    /// The ports of both programs.
    pub ports: Ports,
}

impl Instance {
    /// Returns a Pinrail in `data`, which is made if it is missing.
    pub fn at(data: &Path, binaries: Binaries, ports: Ports) -> Result<Self> {
        let temporary = data.join("temporary");
        let instance = Self { binaries, data: data.to_owned(), temporary: temporary.clone(), database: None, ports };
        // For its owner alone, as both programs would make it.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(instance.logs());
        made.with_context(|| format!("{} cannot be made", data.display()))?;
        instance.throwing_away_in(&temporary)
    }

    /// Returns the same with an empty folder of its own for what the binaries throw away.
    pub fn throwing_away_in(self, temporary: &Path) -> Result<Self> {
        // An earlier run may have been killed.
        cache::clear(temporary)?;
        fs::create_dir_all(temporary).with_context(|| format!("{} cannot be made", temporary.display()))?;
        Ok(Self { temporary: temporary.to_owned(), ..self })
    }

    /// Returns the same on the database with this URL, if there is one.
    #[must_use]
    pub fn on(self, database: Option<String>) -> Self {
        Self { database, ..self }
    }

    /// Returns another one in a data folder of its own, on the same database.
    pub fn on_another_machine(&self, data: &Path, ports: Ports) -> Result<Self> {
        let own = || format!("sqlite:{}", self.data.join("pinrail.db").display());
        let database = self.database.clone().unwrap_or_else(own);
        Ok(Self::at(data, self.binaries.clone(), ports)?.on(Some(database)))
    }

    /// Returns the data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the folder of the binaries' output.
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// Returns the base address of the Pinning Service API.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.api)
    }

    /// Returns a command of `pinrail-api` on this data folder.
    pub fn api(&self) -> Command {
        self.binary(&self.binaries.api)
    }

    /// Returns a command of `pinrail-worker` on this data folder.
    pub fn worker(&self) -> Command {
        self.binary(&self.binaries.worker)
    }

    fn binary(&self, path: &Path) -> Command {
        let mut command = program(path, &self.data);
        command.arg("--data-dir").arg(&self.data).env("TMPDIR", &self.temporary);
        // Everything that it meets is on this machine.
        command.env("PINRAIL_API_ALLOW_PRIVATE", "true").env("PINRAIL_WORKER_ALLOW_PRIVATE", "true");
        if let Some(database) = &self.database {
            command.args(["--database", database]);
        }
        command
    }

    /// Starts the HTTP service and waits until it is ready.
    pub fn start_api(&self) -> Result<Running> {
        self.start_api_with(&[])
    }

    /// Starts it with further settings.
    pub fn start_api_with(&self, settings: &[&str]) -> Result<Running> {
        let mut command = self.api();
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.ports.api)]).args(settings);
        self.start("pinrail-api", command, self.ports.api)
    }

    /// Starts the worker and waits until it is ready.
    pub fn start_worker(&self) -> Result<Running> {
        self.start_worker_with(&[])
    }

    /// Starts it with further settings.
    pub fn start_worker_with(&self, settings: &[&str]) -> Result<Running> {
        let mut command = self.worker();
        command
            .args(["serve", "--health", &format!("127.0.0.1:{}", self.ports.health)])
            .args(["--listen", &self.ports.multiaddr()])
            .args(settings);
        self.start("pinrail-worker", command, self.ports.health)
    }

    fn start(&self, name: &str, command: Command, port: u16) -> Result<Running> {
        let log = self.logs().join(format!("{name}.log"));
        let mut running = Running::start(name, command, &log)?;
        let health = format!("http://127.0.0.1:{port}/health/ready");
        running.wait_until(READY, "readiness", || is_ready(&health))?;
        Ok(running)
    }
}
