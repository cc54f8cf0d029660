//! Clients keep working while processes are killed, paused and cut off; afterwards nothing may be lost, and nothing may
//! have come back.

mod account;
mod checker;
mod clock;
mod cluster;
mod database;
mod fault_injector;
mod filter;
mod fixtures;
mod history;
mod model;
mod pinner;
mod plan;
mod process;
mod proxy;
mod replace_chain;
mod walker;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::programs::Binaries;
use pinrail_testbed::signals;

use account::Account;
use checker::Checker;
pub use clock::Clock;
use cluster::{Cluster, LEASE};
pub use database::{Kind, postgres_triggers};
use fault_injector::{hurt_connections, hurt_processes};
use fixtures::Fixtures;
pub use fixtures::{Block, Cid};
use history::History;
use pinner::Pinner;
use plan::Plan;

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

/// One history under faults.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// The number from which the faults and the clients' wishes are drawn.
    pub seed: u64,
    /// For how long faults come; the checks afterwards take a minute or two.
    pub length: Duration,
    /// On which database.
    pub database: Kind,
}

impl Trial {
    /// Returns the command line that runs it again.
    pub fn name(&self) -> String {
        format!("pinrail-chaos --database {:?} --seed {}", self.database, self.seed).to_lowercase()
    }

    /// Runs it; returns what was counted. On an error the folder with the history and the logs is kept and named.
    pub fn run(&self, binaries: &Binaries) -> Result<String> {
        let folder = tempfile::Builder::new().prefix("pinrail-chaos-").tempdir()?;
        match self.run_in(folder.path(), binaries) {
            Ok(sums) => Ok(sums),
            Err(error) => {
                let kept = folder.keep();
                Err(error.context(format!("{}: history and logs are in {}", self.name(), kept.display())))
            }
        }
    }

    fn run_in(&self, folder: &Path, binaries: &Binaries) -> Result<String> {
        println!("setting up");
        let fixtures = Arc::new(Fixtures::make(self.seed, folder)?);
        let cluster = Cluster::set_up(self.database, binaries, &fixtures, folder)?;
        cluster.database.watch(LEASE.as_millis())?;
        let mut tokens = Vec::new();
        let names = (0..ACCOUNTS).map(|number| format!("account-{number}")).chain(["replacer".to_owned()]);
        for name in names {
            cluster.instance.ensure_account(&name)?;
            tokens.push((cluster.instance.mint_token(&name, "chaos")?, name));
        }
        cluster.start_all()?;

        let history = Arc::new(History::begin(&folder.join("history.jsonl"), self.length)?);
        let (ports, origins) = (cluster.endpoints(), cluster.origins());
        let account = |(token, name): &(String, String)| {
            Account::new(name, token, &ports, Arc::clone(&fixtures), origins.clone(), Arc::clone(&history))
        };
        let accounts: Vec<Account> = tokens.iter().map(account).collect();
        // Each account by another api, so that the questions go to all of them.
        let endpoint = |port: &u16| format!("http://127.0.0.1:{port}");
        let client = |((token, _), port): (&(String, String), &u16)| Client::new(&endpoint(port), token);
        let clients: Vec<Client> = tokens.iter().zip(ports.iter().cycle()).map(client).collect();
        let (replacer, busy) = accounts.split_last().context("there are no accounts")?;
        replace_chain::begin(replacer, &clients[busy.len()])?;

        println!("faults");
        history.begin_anew();
        self.suffer(&cluster, busy, &history);
        signals::check()?;
        let breaches = history.breaches();
        if !breaches.is_empty() {
            bail!("{}", breaches.join("\n"));
        }
        history.reaches(FLOORS)?;
        let pinned: usize = busy.iter().map(|account| account.model().seen_pinned()).sum();
        ensure!(pinned >= SEEN_PINNED, "only {pinned} requests were seen pinned, wanted {SEEN_PINNED} at the least");

        Checker { cluster: &cluster, accounts: &accounts, fixtures: &fixtures, clients }.reach()?;
        Ok(format!("{}, {} hours of clock", history.sums(), cluster.clock.hours()))
    }

    /// Have clients and faults go on beside one another until the time is over.
    fn suffer(&self, cluster: &Cluster, accounts: &[Account], history: &History) {
        let seed = self.seed;
        thread::scope(|scope| {
            for (index, account) in (1..).zip(accounts) {
                scope.spawn(move || walker::run(account, seed ^ (index << 32)));
                for number in 0..PINNERS {
                    let pinner = Pinner::new(account, number, seed ^ (index << 32) ^ (number + 1));
                    scope.spawn(move || pinner.run());
                }
            }
            scope.spawn(|| hurt_connections(cluster, history, Plan::for_connections(seed, cluster.fleet)));
            hurt_processes(cluster, history, Plan::for_processes(seed, cluster.fleet));
        });
    }
}
