//! A Pinrail with every connection behind a proxy and every process within reach of `kill -9`.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::clock::Clock;
use super::database::Database;
use super::material::Material;
use super::plan::{Fleet, Link, Target};
use super::process::Process;
use super::proxy::Proxy;
use crate::building::Binaries;
use crate::environment::Environment;
use crate::instance::Instance;
use crate::instance::ports::Ports;
use crate::instance::provider::Provider;
use crate::progress::Step;

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
    "--time-limit=6h",
    "--pause=2s",
    "--reserve=64MiB",
    "--ballast=1MiB",
    "--drain=2s",
];

/// Everything that runs. Dropping it ends it all.
pub struct Site {
    pub fleet: Fleet,
    pub clock: Arc<Clock>,
    pub database: Database,
    /// With the operator's commands.
    pub instance: Instance,
    apis: Vec<Mutex<Process>>,
    workers: Vec<Mutex<Process>>,
    before_apis: Vec<Proxy>,
    before_providers: Vec<Proxy>,
    providers: Vec<Provider>,
}

impl Site {
    /// Set up a Pinrail on SQLite in `folder`; nothing but its providers runs yet.
    pub fn set_up(
        environment: &Environment,
        binaries: &Binaries,
        material: &Material,
        folder: &Path,
        step: &Step,
    ) -> Result<Self> {
        let fleet = Fleet { apis: 2, workers: 1 };
        let clock = Arc::new(Clock::start(environment, folder, step)?);
        let data = folder.join("data");
        let instance = Instance::at(&data, binaries.clone(), Ports::free()?)?;
        instance.migrate()?;
        let database = Database::sqlite(environment, data.join("pinrail.db"), step)?;
        let mut site = Self {
            fleet,
            clock,
            database,
            instance,
            apis: Vec::new(),
            workers: Vec::new(),
            before_apis: Vec::new(),
            before_providers: Vec::new(),
            providers: Vec::new(),
        };
        for car in &material.cars {
            site.add_provider(car)?;
        }
        for number in 0..fleet.apis {
            site.add_api(number)?;
        }
        for number in 0..fleet.workers {
            site.add_worker(number)?;
        }
        Ok(site)
    }

    fn add_provider(&mut self, car: &Path) -> Result<()> {
        let provider = Provider::start(&self.instance, car)?;
        let port = provider.addresses.iter().find_map(|address| address.split('/').nth(4)?.parse().ok());
        self.before_providers.push(Proxy::start(port.context("the provider has no TCP address")?)?);
        self.providers.push(provider);
        Ok(())
    }

    fn add_api(&mut self, number: usize) -> Result<()> {
        let port = Ports::free()?.api;
        self.before_apis.push(Proxy::start(port)?);
        let (instance, clock) = (self.instance.clone(), Arc::clone(&self.clock));
        let api = Process::new(&format!("api-{number}"), &self.instance.logs(), port, move || {
            let mut command = instance.api();
            command.args(["serve", "--drain=3s", "--listen", &format!("127.0.0.1:{port}")]);
            clock.show(&mut command);
            command
        });
        self.apis.push(Mutex::new(api));
        Ok(())
    }

    fn add_worker(&mut self, number: usize) -> Result<()> {
        let ports = Ports::free()?;
        let (instance, clock) = (self.instance.clone(), Arc::clone(&self.clock));
        let worker = Process::new(&format!("worker-{number}"), &self.instance.logs(), ports.health, move || {
            let mut command = instance.worker();
            command.arg("serve").args(WORKER).arg(format!("--lease={}s", LEASE.as_secs()));
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
        }
    }

    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.before_apis.iter().chain(&self.before_providers)
    }

    /// A process. Only one thread hurts processes.
    pub fn process(&self, target: Target) -> MutexGuard<'_, Process> {
        let process = match target {
            Target::Api(number) => &self.apis[number],
            Target::Worker(number) => &self.workers[number],
        };
        process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All processes, the apis first.
    pub fn targets(&self) -> Vec<Target> {
        let apis = (0..self.fleet.apis).map(Target::Api);
        apis.chain((0..self.fleet.workers).map(Target::Worker)).collect()
    }

    /// Start every process and wait until all are ready.
    pub fn start(&self) -> Result<()> {
        for target in self.targets() {
            self.process(target).start()?;
        }
        self.wait_until_ready()
    }

    pub fn wait_until_ready(&self) -> Result<()> {
        for target in self.targets() {
            self.process(target).wait_until_ready(READY)?;
        }
        Ok(())
    }

    /// A command of the worker's or the operator's, under this clock.
    pub fn shown(&self, mut command: Command) -> Command {
        self.clock.show(&mut command);
        command
    }
}
