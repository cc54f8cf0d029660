//! The HTTP service under load, held against an axum handler that asks nobody and against bare inserts.

mod reads;
mod sizes;
mod writes;

pub use sizes::memory;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use pinrail_testbed::child::Running;
use pinrail_testbed::command::program;
use pinrail_testbed::environment::root;
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::ports::Ports;
use serde_json::Value;
use tempfile::TempDir;

use super::storage::TOOL;
use super::table::Figure;
use super::{Bench, document, number};

/// The example that loads a service.
const LOAD: &str = "load";
/// How long a program beside the service may take to start.
const STARTING: Duration = Duration::from_secs(30);

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = writes::measure(bench)?;
    figures.extend(reads::measure(bench)?);
    figures.extend(sizes::measure(bench)?);
    Ok(figures)
}

/// A Pinrail with a database of its own, for which a node has registered.
pub struct Site<'a> {
    bench: &'a Bench<'a>,
    pub instance: Instance,
    /// As the programs' settings name it.
    database: String,
    folder: TempDir,
}

/// A service: its worker is stopped, so the figures are those of the API alone.
struct Service<'a> {
    site: Site<'a>,
    api: Running,
}

impl<'a> Site<'a> {
    /// Make the database and the accounts, and give each the pins that stand with it.
    pub fn make(bench: &'a Bench<'a>, accounts: &[(&str, u32)], more: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = match bench.server {
            Some(server) => Some(bench.example(TOOL, &["create", "--server", server.url()])?.trim().to_owned()),
            None => None,
        };
        let instance = Instance::at(&folder.path().join("data"), bench.programs.binaries.clone(), Ports::free()?)?;
        let instance = instance.on(url.clone());
        let database = url.unwrap_or_else(|| format!("sqlite:{}", instance.data().join("pinrail.db").display()));
        instance.migrate()?;
        instance.start_worker()?.stop()?;
        let site = Self { bench, instance, database, folder };
        for (name, pins) in accounts {
            bench.step.detail(&format!("account {name}"));
            site.instance.ensure_account(name)?;
            if *pins > 0 {
                let fill = ["fill", "--database", &site.database, "--account", name, "--pins", &pins.to_string()];
                bench.example(TOOL, &[&fill, more].concat())?;
            }
        }
        Ok(site)
    }

    /// A token of each account, in one file.
    fn tokens(&self, file: &str, accounts: &[&str]) -> Result<PathBuf> {
        let mint = |account: &&str| self.instance.mint_token(account, "bench");
        let tokens: Vec<String> = accounts.iter().map(mint).collect::<Result<_>>()?;
        let path = self.instance.data().join(file);
        fs::write(&path, tokens.join("\n"))?;
        Ok(path)
    }

    /// Throw all of it away.
    pub fn clear(self) -> Result<()> {
        if self.bench.server.is_some() {
            self.bench.example(TOOL, &["remove", "--database", &self.database])?;
        }
        Ok(self.folder.close()?)
    }
}

impl<'a> Service<'a> {
    fn start(bench: &'a Bench<'a>, accounts: &[(&str, u32)]) -> Result<Self> {
        let site = Site::make(bench, accounts, &[])?;
        let api = site.instance.start_api()?;
        Ok(Self { site, api })
    }

    /// Load the service, so many requests at once; what was measured.
    fn load(&self, what: &str, tokens: &Path, requests: u32, connections: u32, more: &[&str]) -> Result<Value> {
        self.load_server(self.site.instance.ports.api, what, tokens, [requests, connections], more)
    }

    /// Load whoever listens on a port.
    fn load_server(
        &self,
        port: u16,
        what: &str,
        tokens: &Path,
        [requests, connections]: [u32; 2],
        more: &[&str],
    ) -> Result<Value> {
        let (server, tokens) = (format!("127.0.0.1:{port}"), tokens.to_string_lossy());
        let (requests, connections) = (requests.to_string(), connections.to_string());
        let target = ["--server", &server, "--tokens", &tokens, "--requests", &requests, "--connections", &connections];
        document(&self.site.bench.example(LOAD, &[&[what][..], &target, more].concat())?)
    }

    /// Settle 500 roots a second on the same database while `measure` runs; what that gives, and how many were settled
    /// in a second.
    fn while_settling<T>(&self, measure: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
        let mut command = program(self.site.bench.programs.example(TOOL)?, root());
        command.args(["settle", "--database", &self.site.database]);
        let mut settling = self.start_beside("storage_bench settle", command, "settled")?;
        let measured = measure()?;
        settling.check()?;
        let told = settling.log_text();
        settling.stop()?;
        let settled = told.lines().rfind(|line| line.starts_with("settled ")).and_then(|line| line.get(8..));
        let settled = settled.context("nothing was settled")?.parse()?;
        Ok((measured, settled))
    }

    /// Add pins one after another while `measure` runs: each is a commit.
    fn while_posting<T>(&self, tokens: &Path, measure: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut command = program(self.site.bench.programs.example(LOAD)?, root());
        let server = format!("127.0.0.1:{}", self.site.instance.ports.api);
        command.args(["post", "--server", &server, "--requests", "100000000", "--connections", "1", "--tokens"]);
        command.arg(tokens);
        let posting = self.start_beside("load post", command, "")?;
        let measured = measure()?;
        posting.stop()?;
        Ok(measured)
    }

    /// Start a program that says `word` once it is under way.
    fn start_beside(&self, name: &str, command: Command, word: &str) -> Result<Running> {
        let log = self.site.instance.logs().join("beside.log");
        let mut running = Running::start(name, command, &log)?;
        running.wait_until(STARTING, "start", || fs::read_to_string(&log).is_ok_and(|text| text.contains(word)))?;
        Ok(running)
    }

    fn stop(self) -> Result<()> {
        self.api.stop()?;
        self.site.clear()
    }
}

fn rate(measured: &Value) -> Result<f64> {
    number(measured, "/rate")
}
