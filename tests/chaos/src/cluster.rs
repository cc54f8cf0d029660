//! A Pinrail with every connection behind a proxy and every process within reach of `kill -9`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::ports::Ports;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::programs::Binaries;

use super::clock::Clock;
use super::database::{Database, Kind};
use super::fixtures::Fixtures;
use super::plan::{Fleet, Link, Target};
use super::process::Process;
use super::proxy::Proxy;

/// Short, so that it runs out under a pause.
pub const LEASE: Duration = Duration::from_secs(3);

/// How long a process may take to be ready again on a busy machine.
const READY: Duration = Duration::from_mins(2);

/// What a worker is told: short waits, and a disk that is given back to the last.
const WORKER: &[&str] = &[
    "--log=info,pinrail_worker=debug",
    "--first-retry=500ms",
    "--max-retry=4s",
    "--rotation=1s",
    "--stall=6s",
    "--pause=2s",
    "--reserve=64MiB",
    "--ballast=1MiB",
    "--drain=2s",
];

/// Hours that a root may take: the limit that the workers are told.
pub const TIME_LIMIT: u64 = 6;

/// Where a worker keeps its blocks.
pub struct Home {
    pub instance: Instance,
    /// Of its IPFS node, for TCP.
    pub port: u16,
}

impl Home {
    /// The folder of the block store.
    pub fn blocks(&self) -> PathBuf {
        self.instance.data().join("blocks")
    }
}

/// Everything that runs. Dropping it ends it all.
pub struct Cluster {
    pub fleet: Fleet,
    pub clock: Arc<Clock>,
    pub database: Database,
    /// With the operator's commands, on the data folder of the apis.
    pub instance: Instance,
    /// The data folder of each worker; on SQLite the only one shares that of the apis.
    pub homes: Vec<Home>,
    apis: Vec<Mutex<Process>>,
    workers: Vec<Mutex<Process>>,
    before_apis: Vec<Proxy>,
    before_providers: Vec<Proxy>,
    /// Of each api, then of each worker, where the database is a server.
    before_database: Vec<Proxy>,
    providers: Vec<Provider>,
}

impl Cluster {
    /// Set up a Pinrail in `folder`; nothing but its providers, and its database's server, runs yet.
    pub fn set_up(kind: Kind, binaries: &Binaries, fixtures: &Fixtures, folder: &Path) -> Result<Self> {
        let clock = Arc::new(Clock::start()?);
        let data = folder.join("data");
        let (fleet, database) = match kind {
            Kind::Sqlite => {
                let file = data.join("pinrail.db");
                (Fleet { apis: 2, workers: 1, server: false }, Database::sqlite(file)?)
            }
            Kind::Postgres => {
                let database = Database::postgres(&clock)?;
                (Fleet { apis: 2, workers: 2, server: true }, database)
            }
        };
        let instance = Instance::at(&data, binaries.clone(), Ports::free()?)?;
        let instance = instance.on(database.port().and_then(|port| database.url(port)));
        instance.migrate()?;
        let mut cluster = Self {
            fleet,
            clock,
            database,
            instance,
            homes: Vec::new(),
            apis: Vec::new(),
            workers: Vec::new(),
            before_apis: Vec::new(),
            before_providers: Vec::new(),
            before_database: Vec::new(),
            providers: Vec::new(),
        };
        for car in &fixtures.cars {
            cluster.add_provider(car)?;
        }
        for number in 0..fleet.apis {
            cluster.add_api(number)?;
        }
        for number in 0..fleet.workers {
            cluster.add_worker(number, binaries)?;
        }
        Ok(cluster)
    }

    fn add_provider(&mut self, car: &Path) -> Result<()> {
        let provider = Provider::start(&self.instance, car)?;
        let port = provider.addresses.iter().find_map(|address| address.split('/').nth(4)?.parse().ok());
        self.before_providers.push(Proxy::start(port.context("the provider has no TCP address")?)?);
        self.providers.push(provider);
        Ok(())
    }

    /// The same on a way of its own to the database's server, if there is one.
    fn behind_a_proxy(&mut self, instance: Instance) -> Result<Instance> {
        let Some(port) = self.database.port() else { return Ok(instance) };
        let proxy = Proxy::start(port)?;
        let url = self.database.url(proxy.port());
        self.before_database.push(proxy);
        Ok(instance.on(url))
    }

    fn add_api(&mut self, number: usize) -> Result<()> {
        let port = Ports::free()?.api;
        self.before_apis.push(Proxy::start(port)?);
        let (instance, clock) = (self.behind_a_proxy(self.instance.clone())?, Arc::clone(&self.clock));
        let api = Process::new(&format!("api-{number}"), &self.instance.logs(), port, move || {
            let mut command = instance.api();
            command.args(["serve", "--drain=3s", "--listen", &format!("127.0.0.1:{port}")]);
            clock.show(&mut command);
            command
        });
        self.apis.push(Mutex::new(api));
        Ok(())
    }

    fn add_worker(&mut self, number: usize, binaries: &Binaries) -> Result<()> {
        let ports = Ports::free()?;
        let home = match self.database {
            Database::Sqlite { .. } => self.instance.clone(),
            Database::Postgres { .. } => {
                let folder = self.instance.data().join(format!("worker-{number}"));
                Instance::at(&folder, binaries.clone(), ports)?
            }
        };
        let home = self.behind_a_proxy(home)?;
        self.homes.push(Home { instance: home.clone(), port: ports.p2p });
        let clock = Arc::clone(&self.clock);
        let worker = Process::new(&format!("worker-{number}"), &self.instance.logs(), ports.health, move || {
            let mut command = home.worker();
            command.arg("serve").args(WORKER);
            command.arg(format!("--lease={}s", LEASE.as_secs())).arg(format!("--time-limit={TIME_LIMIT}h"));
            command.arg(format!("--health=127.0.0.1:{}", ports.health)).args(["--listen", &ports.multiaddr()]);
            clock.show(&mut command);
            command
        });
        self.workers.push(Mutex::new(worker));
        Ok(())
    }

    /// Where clients reach the apis.
    pub fn endpoints(&self) -> Vec<u16> {
        self.before_apis.iter().map(Proxy::port).collect()
    }

    /// Where the workers reach the providers.
    pub fn origins(&self) -> Vec<String> {
        let origin = |(provider, proxy): (&Provider, &Proxy)| {
            let peer = provider.addresses[0].rsplit('/').next().unwrap_or_default();
            format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer}", proxy.port())
        };
        self.providers.iter().zip(&self.before_providers).map(origin).collect()
    }

    /// A provider, to be paused.
    pub fn provider(&self, number: usize) -> &Provider {
        &self.providers[number]
    }

    /// The proxy of a connection.
    pub fn proxy(&self, link: Link) -> &Proxy {
        match link {
            Link::Clients(api) => &self.before_apis[api],
            Link::Provider(provider) => &self.before_providers[provider],
            Link::Database(Target::Api(number)) => &self.before_database[number],
            Link::Database(Target::Worker(number)) => &self.before_database[self.fleet.apis + number],
            Link::Database(Target::Database) => unreachable!("the server needs no connection to itself"),
        }
    }

    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.before_apis.iter().chain(&self.before_providers).chain(&self.before_database)
    }

    /// A process of ours. Only one thread hurts processes.
    fn process(&self, target: Target) -> Option<MutexGuard<'_, Process>> {
        let process = match target {
            Target::Api(number) => &self.apis[number],
            Target::Worker(number) => &self.workers[number],
            Target::Database => return None,
        };
        Some(process.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All processes: what others need comes first.
    pub fn targets(&self) -> Vec<Target> {
        let database = self.fleet.server.then_some(Target::Database);
        let apis = (0..self.fleet.apis).map(Target::Api);
        database.into_iter().chain(apis).chain(self.workers()).collect()
    }

    pub fn apis(&self) -> impl Iterator<Item = Target> {
        (0..self.fleet.apis).map(Target::Api)
    }

    pub fn workers(&self) -> impl Iterator<Item = Target> {
        (0..self.fleet.workers).map(Target::Worker)
    }

    /// `kill -9`.
    pub fn kill(&self, target: Target) -> Result<()> {
        self.process(target).map_or_else(|| self.database.kill(), |mut process| process.kill())
    }

    /// Start a process again; of ours without waiting for it, since it is to be hurt while it starts too.
    pub fn start(&self, target: Target) -> Result<()> {
        self.process(target).map_or_else(|| self.database.start(), |mut process| process.start())
    }

    pub fn pause(&self, target: Target) -> Result<()> {
        self.process(target).map_or_else(|| self.database.pause(), |process| process.pause())
    }

    pub fn resume(&self, target: Target) -> Result<()> {
        self.process(target).map_or_else(|| self.database.resume(), |process| process.resume())
    }

    /// Tell a process to stop, and see that it does so well and in time.
    pub fn end(&self, target: Target) -> Result<()> {
        if let Some(mut process) = self.process(target) {
            return process.end();
        }
        self.database.stop();
        Ok(())
    }

    /// The log of a process's last life, if it is ours.
    pub fn log(&self, target: Target) -> Option<PathBuf> {
        self.process(target).map(|process| process.log())
    }

    /// Start every process of ours and wait until all are ready.
    pub fn start_all(&self) -> Result<()> {
        self.apis().chain(self.workers()).try_for_each(|target| self.start(target))?;
        self.wait_until_ready()
    }

    pub fn wait_until_ready(&self) -> Result<()> {
        let ours = self.targets().into_iter().filter_map(|target| self.process(target));
        ours.into_iter().try_for_each(|mut process| process.wait_until_ready(READY))
    }

    /// A command of the worker's or the operator's, under this clock.
    pub fn shown(&self, mut command: Command) -> Command {
        self.clock.show(&mut command);
        command
    }
}
