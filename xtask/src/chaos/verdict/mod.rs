//! What has to hold once the faults are over: held against what the clients know and what is on the disk.

mod disk;

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::account::Account;
use super::material::{Dag, Material};
use super::proxy::Weather;
use super::site::Site;
use super::walker;
use crate::command::run;
use crate::instance::Instance;
use crate::instance::client::Client;
use crate::progress::Step;
use crate::signals;
use crate::stopwatch::Stopwatch;

/// How long nothing may get better before it is called stuck.
const PATIENCE: Duration = Duration::from_mins(1);
const BEAT: Duration = Duration::from_millis(300);

/// What an empty block store may take on the disk: its index, without the ballast.
const EMPTY: u64 = 8 << 20;

/// Hours after which the blocks of a failed root are kept no longer.
const FAILED_KEPT: u64 = 25;

type Question<'a> = fn(&Verdict<'a>) -> Result<()>;

/// Everything that is asked after the faults.
pub struct Verdict<'a> {
    pub site: &'a Site,
    pub accounts: &'a [Account],
    pub material: &'a Material,
    /// Without a proxy, and with patience.
    pub clients: Vec<Client>,
}

impl<'a> Verdict<'a> {
    /// Ask everything, in this order; the first thing that does not hold is the error.
    pub fn reach(&self, step: &Step) -> Result<()> {
        let asked: [(&str, Question<'a>); 9] = [
            ("everything comes back", Self::come_back),
            ("what was answered is there, what was deleted is not", Self::agree),
            ("what somebody provides is pinned", Self::wait_for_pins),
            ("what is pinned is served whole", Self::fetch_all),
            ("counters equal what they count", Self::count),
            ("no root was done twice at one time", Self::read_triggers),
            ("every block hashes to its name", Self::hash_all),
            ("blocks nobody wants are gone and the disk is given back", Self::empty),
            ("everything stops cleanly, and nobody panicked", Self::end),
        ];
        for (what, question) in asked {
            signals::check()?;
            step.detail(what);
            question(self).with_context(|| format!("not so: {what}"))?;
        }
        Ok(())
    }

    /// Mend all, and have the apis finish what clients no longer wait for.
    fn come_back(&self) -> Result<()> {
        self.site.proxies().for_each(|proxy| proxy.set(Weather::Fair));
        self.site.wait_until_ready()?;
        for api in self.site.apis() {
            self.site.end(api)?;
            self.site.start(api)?;
        }
        self.site.wait_until_ready()
    }

    fn agree(&self) -> Result<()> {
        let mut rng = StdRng::seed_from_u64(0);
        for account in self.accounts {
            ensure!(walker::walk(account, "verdict", &mut rng), "a list of {} was broken off", account.name);
            account.book().close().map_err(anyhow::Error::msg)?;
            ensure!(walker::walk(account, "verdict", &mut rng), "a list of {} was broken off", account.name);
            let book = account.book();
            for (places, status) in [(book.live(), 200), (book.dead(), 404)] {
                for id in places.into_iter().filter_map(|place| book.entry(place).id.as_ref()) {
                    self.client(account).get(&format!("/pins/{id}"))?.expect(status)?;
                }
            }
            drop(book);
            let breaches = account.history.breaches();
            ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
        }
        Ok(())
    }

    fn wait_for_pins(&self) -> Result<()> {
        let mut watch = Stopwatch::start();
        let mut least = usize::MAX;
        loop {
            let open = self.unfinished()?;
            if open.is_empty() {
                return Ok(());
            }
            if open.len() < least {
                (least, watch) = (open.len(), Stopwatch::start());
            }
            if watch.passed(PATIENCE) {
                bail!("{} requests are not pinned, among them {}", open.len(), open[0]);
            }
            signals::check()?;
            thread::sleep(BEAT);
        }
    }

    /// The requests that somebody provides and that are not pinned. Failed ones are asked for once more, which queues
    /// all requests for the same root again.
    fn unfinished(&self) -> Result<Vec<Value>> {
        let mut open = Vec::new();
        for account in self.accounts {
            for item in self.list(account)? {
                let dag = self.dag(&item)?;
                match (dag.provider, item["status"].as_str().unwrap_or_default()) {
                    (Some(_), "pinned") => {}
                    (None, "pinned") => bail!("{item} is pinned, and nobody has it"),
                    (Some(provider), "failed") => {
                        ensure!(item["info"]["failure_reason"].is_string(), "{item} failed without a reason");
                        self.ask_again(account, &dag.cid, provider)?;
                        open.push(item);
                    }
                    (Some(_), _) => open.push(item),
                    (None, _) => {}
                }
            }
        }
        Ok(open)
    }

    fn ask_again(&self, account: &Account, cid: &str, provider: usize) -> Result<()> {
        let place = account.book().ask(cid, &format!("again/{cid}"), BTreeMap::new());
        let pin = json!({ "cid": cid, "name": format!("again/{cid}"), "origins": [self.site.origins()[provider]] });
        let answer = self.client(account).post("/pins", &pin)?.expect(202)?;
        account.book().added(place.0, &place.1, &answer).map_err(anyhow::Error::msg)
    }

    /// All pins of an account, however many pages that takes.
    fn list(&self, account: &Account) -> Result<Vec<Value>> {
        let mut items: Vec<Value> = Vec::new();
        loop {
            let last = items.last().and_then(|item| item["created"].as_str());
            let before = last.map_or(String::new(), |created| format!("&before={created}"));
            let path = format!("/pins?status=queued,pinning,pinned,failed&limit=1000{before}");
            let page = self.client(account).get(&path)?.expect(200)?;
            match page["results"].as_array() {
                Some(more) if !more.is_empty() => items.extend_from_slice(more),
                _ => return Ok(items),
            }
        }
    }

    /// The client of an account.
    fn client(&self, account: &Account) -> &Client {
        let index = self.accounts.iter().position(|other| other.name == account.name).unwrap_or_default();
        &self.clients[index]
    }

    /// Each DAG that is pinned, by its CID, with one of its requests.
    fn pinned(&self) -> Result<BTreeMap<String, Value>> {
        let mut pinned = BTreeMap::new();
        for account in self.accounts {
            for item in self.list(account)?.into_iter().filter(|item| item["status"] == "pinned") {
                pinned.insert(self.dag(&item)?.cid.clone(), item);
            }
        }
        Ok(pinned)
    }

    fn dag(&self, item: &Value) -> Result<&Dag> {
        let dag = self.material.find(item["pin"]["cid"].as_str().unwrap_or_default());
        dag.with_context(|| format!("nobody asked for {item}"))
    }

    /// Fetch every DAG that is pinned from the delegates into a store of its own, where each block is hashed.
    fn fetch_all(&self) -> Result<()> {
        for (cid, item) in self.pinned()? {
            let (dag, info) = (self.dag(&item)?, &item["info"]);
            let wanted = [json!(dag.blocks.to_string()), json!(dag.bytes.to_string())];
            ensure!([&info["blocks"], &info["dag_size"]] == [&wanted[0], &wanted[1]], "{item}: wanted {wanted:?}");
            self.fetch(&cid, dag.blocks, &item["delegates"])?;
        }
        Ok(())
    }

    fn fetch(&self, cid: &str, blocks: u64, delegates: &Value) -> Result<()> {
        let mut command = self.site.instance.worker();
        command.args(["fetch", cid]);
        for delegate in delegates.as_array().into_iter().flatten().filter_map(Value::as_str) {
            command.args(["--from", delegate]);
        }
        let output = run(command)?.success(&format!("pinrail-worker fetch {cid}"))?;
        ensure!(output.contains(&format!(": {blocks} blocks,")), "{output}, wanted {blocks} blocks");
        Ok(())
    }

    fn count(&self) -> Result<()> {
        let mut command = self.site.shown(self.site.instance.api());
        command.arg("check");
        run(command)?.success("pinrail-api check").map(drop)
    }

    fn read_triggers(&self) -> Result<()> {
        let breaches = self.site.database.breaches()?;
        ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
        Ok(())
    }

    /// Stop the workers, have every block read from the disk and hashed, and start them again.
    fn hash_all(&self) -> Result<()> {
        self.site.workers().try_for_each(|worker| self.site.end(worker))?;
        let mut known = 0;
        for home in &self.site.homes {
            let mut command = home.worker();
            command.args(["check", "--json"]);
            let found = run(command)?.success("pinrail-worker check")?;
            let found: Value = serde_json::from_str(&found).with_context(|| found.clone())?;
            known += found["pinned"].as_u64().unwrap_or_default();
        }
        // They may know of more: of what nobody wants any more, or what is only held for a replace.
        let pinned = self.site.database.count("roots WHERE state = 'pinned'")?;
        ensure!(known >= pinned, "{pinned} roots are pinned, the block stores have {known}");
        self.site.workers().try_for_each(|worker| self.site.start(worker))?;
        self.site.wait_until_ready()
    }

    /// Delete every pin, and wait until nothing is left of them.
    fn empty(&self) -> Result<()> {
        for account in self.accounts {
            for item in self.list(account)? {
                let id = item["requestid"].as_str().unwrap_or_default();
                self.client(account).delete(&format!("/pins/{id}"))?.expect(202)?;
            }
            let left = self.list(account)?;
            ensure!(left.is_empty(), "{} are left", left.len());
        }
        let tables = ["roots", "pin_requests", "pin_meta", "pin_counts", "holds", "queue", "root_holders"];
        wait_until(|| {
            let counts = tables.map(|table| Ok((self.site.database.count(table)?, table)));
            let counts = counts.into_iter().collect::<Result<Vec<_>>>()?;
            let left = counts.into_iter().filter(|(rows, _)| *rows > 0);
            Ok(left.map(|(rows, table)| format!("{rows} rows of {table}")).collect::<Vec<_>>().join(", "))
        })?;
        self.count()?;
        self.site.clock.advance(FAILED_KEPT)?;
        wait_until(|| {
            let used = |home: &Instance| disk::used(&home.data().join("blocks"), "ballast");
            let used = self.site.homes.iter().map(used).collect::<Result<Vec<_>>>()?;
            Ok(if used.iter().any(|used| *used > EMPTY) { format!("{used:?} bytes of blocks") } else { String::new() })
        })
    }

    fn end(&self) -> Result<()> {
        for target in self.site.targets().into_iter().rev() {
            self.site.end(target)?;
        }
        for entry in fs::read_dir(self.site.instance.logs())? {
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
