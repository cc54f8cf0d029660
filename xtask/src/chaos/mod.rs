//! `cargo xtask chaos`: clients keep working while processes are killed, paused and cut off; afterwards nothing
//! may be lost, and nothing may have come back.

mod account;
mod book;
pub mod clock;
mod database;
mod filter;
mod history;
mod keeper;
mod material;
mod pinner;
mod plan;
mod process;
mod proxy;
mod saboteur;
mod site;
mod verdict;
mod walker;

use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::building::{self, Binaries};
use crate::environment::Environment;
use crate::instance::client::Client;
use crate::progress::Step;
use crate::signals;
use account::Account;
pub use database::{Kind, postgres_triggers};
use history::History;
use material::Material;
pub use material::{Block, Cid};
use pinner::Pinner;
use plan::Plan;
use saboteur::{hurt_connections, hurt_processes};
use site::{LEASE, Site};
use verdict::Verdict;

/// Accounts with clients of their own; they want the same DAGs.
const ACCOUNTS: u64 = 3;
/// Clients of each that add, replace and delete.
const PINNERS: u64 = 2;

/// What is got done under the faults at the least, on a slow machine in a minute too.
const FLOORS: &[(&str, u64)] = &[
    ("answered 202", 15),
    ("deleted", 3),
    ("replaced", 3),
    ("looked up", 3),
    ("walks", 3),
    ("lists", 3),
    ("filtered lists", 3),
    ("faults of processes", 3),
    ("faults of connections", 3),
];
/// How many requests clients see pinned meanwhile.
const SEEN_PINNED: usize = 3;

#[derive(Args)]
pub struct Options {
    /// Draw the faults and the clients' wishes from this number; without it, from one that is printed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// For how long faults come; the checks afterwards take a minute or two.
    #[arg(long, value_name = "M", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,

    /// On which database.
    #[arg(long, value_name = "KIND", value_enum, default_value = "sqlite")]
    database: Kind,

    /// Take `pinrail-api` and `pinrail-worker` from this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
}

/// Run what was asked for.
pub fn run(environment: &Environment, options: &Options) -> Result<()> {
    let binaries = binaries(environment, options.binaries.as_deref())?;
    let trial = Trial {
        seed: options.seed.unwrap_or_else(fresh_seed),
        length: Duration::from_mins(options.minutes),
        database: options.database,
    };
    let step = Step::start(&trial.name());
    let sums = trial.run(environment, &binaries, &step)?;
    step.done(&sums);
    Ok(())
}

fn binaries(environment: &Environment, folder: Option<&Path>) -> Result<Binaries> {
    if let Some(folder) = folder {
        return Ok(Binaries { api: folder.join("pinrail-api"), worker: folder.join("pinrail-worker") });
    }
    let step = Step::start("build");
    let binaries = building::binaries(environment, &step)?;
    step.done("both binaries");
    Ok(binaries)
}

/// A number that nobody chose.
fn fresh_seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish() % 1_000_000
}

/// One history under faults.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub seed: u64,
    pub length: Duration,
    pub database: Kind,
}

impl Trial {
    /// What it is called: enough to run it again.
    pub fn name(&self) -> String {
        format!("chaos --database {:?} --seed {}", self.database, self.seed).to_lowercase()
    }

    /// Run it; what was counted. On an error the folder with the history and the logs is kept and named.
    pub fn run(&self, environment: &Environment, binaries: &Binaries, step: &Step) -> Result<String> {
        let folder = tempfile::Builder::new().prefix("pinrail-chaos-").tempdir()?;
        match self.run_in(folder.path(), environment, binaries, step) {
            Ok(sums) => Ok(sums),
            Err(error) => {
                let kept = folder.keep();
                Err(error.context(format!("{}: history and logs are in {}", self.name(), kept.display())))
            }
        }
    }

    fn run_in(&self, folder: &Path, environment: &Environment, binaries: &Binaries, step: &Step) -> Result<String> {
        step.detail("setting up");
        let material = Arc::new(Material::make(self.seed, folder)?);
        let site = Site::set_up(environment, self.database, binaries, &material, folder, step)?;
        site.database.watch(LEASE.as_millis())?;
        let mut tokens = Vec::new();
        let names = (0..ACCOUNTS).map(|number| format!("account-{number}")).chain(["keeper".to_owned()]);
        for name in names {
            site.instance.ensure_account(&name)?;
            tokens.push((site.instance.mint_token(&name, "chaos")?, name));
        }
        site.start_all()?;

        let history = Arc::new(History::begin(&folder.join("history.jsonl"), self.length)?);
        let (ports, origins) = (site.endpoints(), site.origins());
        let account = |(token, name): &(String, String)| {
            Account::new(name, token, &ports, Arc::clone(&material), origins.clone(), Arc::clone(&history))
        };
        let accounts: Vec<Account> = tokens.iter().map(account).collect();
        // Each account by another api, so that the questions go to all of them.
        let endpoint = |port: &u16| format!("http://127.0.0.1:{port}");
        let client = |((token, _), port): (&(String, String), &u16)| Client::new(&endpoint(port), token);
        let clients: Vec<Client> = tokens.iter().zip(ports.iter().cycle()).map(client).collect();
        let (keeper, busy) = accounts.split_last().context("there are no accounts")?;
        keeper::begin(keeper, &clients[busy.len()])?;

        step.detail("faults");
        history.begin_anew();
        self.suffer(&site, busy, &history);
        signals::check()?;
        let breaches = history.breaches();
        if !breaches.is_empty() {
            bail!("{}", breaches.join("\n"));
        }
        history.reaches(FLOORS)?;
        let pinned: usize = busy.iter().map(|account| account.book().seen_pinned()).sum();
        ensure!(pinned >= SEEN_PINNED, "only {pinned} requests were seen pinned, wanted {SEEN_PINNED} at the least");

        Verdict { site: &site, accounts: &accounts, material: &material, clients }.reach(step)?;
        Ok(format!("{}, {} hours of clock", history.sums(), site.clock.hours()))
    }

    /// Have clients and faults go on beside one another until the time is over.
    fn suffer(&self, site: &Site, accounts: &[Account], history: &History) {
        let seed = self.seed;
        thread::scope(|scope| {
            for (index, account) in (1..).zip(accounts) {
                scope.spawn(move || walker::run(account, seed ^ (index << 32)));
                for number in 0..PINNERS {
                    let pinner = Pinner::new(account, number, seed ^ (index << 32) ^ (number + 1));
                    scope.spawn(move || pinner.run());
                }
            }
            scope.spawn(|| hurt_connections(site, history, Plan::for_connections(seed, site.fleet)));
            hurt_processes(site, history, Plan::for_processes(seed, site.fleet));
        });
    }
}
