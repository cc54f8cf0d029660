//! What has to hold once the faults are over: held against what the clients know and what is on the disk.

mod pins;
mod stores;

use std::fs;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pinrail_testbed::command::run;
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::signals;
use pinrail_testbed::stopwatch::Stopwatch;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::account::Account;
use super::cluster::Cluster;
use super::fixtures::Fixtures;
use super::proxy::{Proxy, Weather};
use super::walker;

/// How long nothing may get better before it is called stuck.
const PATIENCE: Duration = Duration::from_mins(1);
const BEAT: Duration = Duration::from_millis(300);

/// Lists with a filter that are asked for of each account.
const FILTERS: usize = 12;

/// What a process says last.
const LAST_WORDS: &str = "shutting down";

type Question<'a> = fn(&Checker<'a>) -> Result<()>;

/// Everything that is asked after the faults.
pub struct Checker<'a> {
    pub cluster: &'a Cluster,
    pub accounts: &'a [Account],
    pub fixtures: &'a Fixtures,
    /// One for each account, with patience; the first ones each ask another api.
    pub clients: Vec<Client>,
}

impl<'a> Checker<'a> {
    /// Ask everything, in this order; the first thing that does not hold is the error.
    pub fn reach(&self) -> Result<()> {
        let asked: [(&str, Question<'a>); 14] = [
            ("everything comes back", Self::come_back),
            ("an answer 503 says when to try again", Self::read_proxies),
            ("the moved clock is seen", Self::see_clock),
            ("what was answered is there, what was deleted is not", Self::agree),
            ("what somebody provides is pinned", Self::wait_for_pins),
            ("what is pinned is served whole", Self::fetch_all),
            ("what is replaced stays until what replaces it is there", Self::fetch_kept),
            ("counters equal what they count", Self::count),
            ("no root was done twice at one time", Self::read_triggers),
            ("every block hashes to its name", Self::hash_all),
            ("it is still there, and what was deleted is not", Self::agree),
            ("blocks nobody wants are gone and the disk is given back", Self::empty),
            ("nor was a root done twice while all were unpinned", Self::read_triggers),
            ("everything stops cleanly, and nobody panicked", Self::end),
        ];
        for (what, question) in asked {
            signals::check()?;
            println!("{what}");
            question(self).with_context(|| format!("not so: {what}"))?;
        }
        Ok(())
    }

    /// Mend all, and have the apis finish what clients no longer wait for.
    fn come_back(&self) -> Result<()> {
        self.cluster.proxies().for_each(|proxy| proxy.set(Weather::Fair));
        self.cluster.wait_until_ready()?;
        for api in self.cluster.apis() {
            self.cluster.end(api)?;
            self.cluster.start(api)?;
        }
        self.cluster.wait_until_ready()
    }

    fn read_proxies(&self) -> Result<()> {
        let curt: u64 = self.cluster.proxies().map(Proxy::curt_answers).sum();
        ensure!(curt == 0, "{curt} answers have no Retry-After");
        Ok(())
    }

    /// Let an hour pass, and have each api add something: it is not created before that hour is over.
    ///
    /// Nobody is connected to the database meanwhile: a session of PostgreSQL that is there before and after waits for
    /// the timers of before, and so finds no deadlock for a minute.
    fn see_clock(&self) -> Result<()> {
        let ours = || self.cluster.apis().chain(self.cluster.workers());
        ours().try_for_each(|target| self.cluster.end(target))?;
        self.cluster.clock.pass_an_hour()?;
        ours().try_for_each(|target| self.cluster.start(target))?;
        self.cluster.wait_until_ready()?;
        let dag = self.fixtures.dags.iter().find(|dag| dag.provider.is_some()).context("nobody has anything")?;
        for account in &self.accounts[..self.cluster.fleet.apis] {
            let shown = self.cluster.clock.shown()?;
            let name = format!("{}/clock", account.name);
            let (_, answer) = account.add_surely(self.client(account), "/pins", (&dag.cid, &name), &account.origins)?;
            let created = answer["created"].as_str().unwrap_or_default();
            ensure!(created >= shown.as_str(), "a pin was created at {created}, it was {shown} already");
        }
        Ok(())
    }

    fn agree(&self) -> Result<()> {
        self.of_each(|account| {
            let mut rng = StdRng::seed_from_u64(0);
            ensure!(walker::walk(account, "checker", &mut rng), "a list of {} was broken off", account.name);
            account.model().close().map_err(anyhow::Error::msg)?;
            ensure!(walker::walk(account, "checker", &mut rng), "a list of {} was broken off", account.name);
            for _ in 0..FILTERS {
                walker::take_filtered(account, "checker", &mut rng);
            }
            let model = account.model();
            for (places, status) in [(model.live(), 200), (model.dead(), 404)] {
                for id in places.into_iter().filter_map(|place| model.entry(place).id.as_ref()) {
                    signals::check()?;
                    self.client(account).get(&format!("/pins/{id}"))?.expect(status)?;
                }
            }
            drop(model);
            let breaches = account.history.breaches();
            ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
            Ok(())
        })
    }

    /// Ask something of every account, of all at once: after an hour each has tens of thousands of requests.
    fn of_each(&self, ask: impl Fn(&Account) -> Result<()> + Sync) -> Result<()> {
        thread::scope(|scope| {
            let asked: Vec<_> = self.accounts.iter().map(|account| scope.spawn(|| ask(account))).collect();
            let answers = asked.into_iter().map(|asked| asked.join().unwrap_or_else(|panic| resume_unwind(panic)));
            answers.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// The client of an account.
    fn client(&self, account: &Account) -> &Client {
        let index = self.accounts.iter().position(|other| other.name == account.name).unwrap_or_default();
        &self.clients[index]
    }

    fn count(&self) -> Result<()> {
        let mut command = self.cluster.shown(self.cluster.instance.api());
        command.arg("check");
        run(command)?.success("pinrail-api check").map(drop)
    }

    fn read_triggers(&self) -> Result<()> {
        let breaches = self.cluster.database.breaches()?;
        ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
        Ok(())
    }

    fn end(&self) -> Result<()> {
        self.cluster.workers().try_for_each(|worker| self.cluster.start(worker))?;
        self.cluster.wait_until_ready()?;
        let shown = self.cluster.clock.shown()?;
        for target in self.cluster.targets().into_iter().rev() {
            self.cluster.end(target)?;
            let Some(log) = self.cluster.log(target) else { continue };
            let text = fs::read_to_string(&log)?;
            let last = text.lines().rfind(|line| line.contains(LAST_WORDS)).unwrap_or_default();
            ensure!(last >= shown.as_str(), "{target:?} ended with {last:?}, and it was {shown} already");
        }
        for entry in fs::read_dir(self.cluster.instance.logs())? {
            let path = entry?.path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some(line) = text.lines().find(|line| line.contains("panicked at")) {
                bail!("{}: {line}", path.display());
            }
        }
        Ok(())
    }
}

/// Wait until nothing is left of what `left` names.
fn wait_until(left: impl Fn() -> Result<String>) -> Result<()> {
    let watch = Stopwatch::start();
    loop {
        let left = left()?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(!watch.passed(PATIENCE), "{left} are left after {} s", PATIENCE.as_secs());
        signals::check()?;
        thread::sleep(BEAT);
    }
}
