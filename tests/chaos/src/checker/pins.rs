//! What the pins have to come to: what somebody provides is pinned, and what is pinned is served whole.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use pinrail_testbed::command::run;
use pinrail_testbed::signals;
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::{Value, json};

use super::{BEAT, Checker, PATIENCE};
use crate::account::Account;
use crate::cluster::TIME_LIMIT;
use crate::fixtures::Dag;
use crate::replace_chain;

/// How many DAGs are pinned in the end at the least.
const PINNED: usize = 5;

/// What content can fail for that somebody provides, once the time limit is over: nothing in it is wrong.
const PASSING: [&str; 2] = ["NO_PROVIDER_FOUND", "STALLED"];

impl Checker<'_> {
    pub(super) fn wait_for_pins(&self) -> Result<()> {
        let mut watch = Stopwatch::start();
        let mut least = usize::MAX;
        let mut again = BTreeSet::new();
        loop {
            let open = self.unfinished(&mut again)?;
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
    /// all requests for the same root again; `again` has the roots of which that was done.
    fn unfinished(&self, again: &mut BTreeSet<String>) -> Result<Vec<Value>> {
        let before = again.clone();
        let mut open = Vec::new();
        for account in self.accounts {
            for item in self.list(account)? {
                let dag = self.dag(&item)?;
                match (dag.provider, item["status"].as_str().unwrap_or_default()) {
                    (Some(_), "pinned") => {}
                    (None, "pinned") => bail!("{item} is pinned, and nobody has it"),
                    (Some(provider), "failed") => {
                        self.may_have_failed(&item)?;
                        ensure!(!before.contains(&dag.cid), "with a fresh time limit {item} failed again");
                        if again.insert(dag.cid.clone()) {
                            self.ask_again(account, &dag.cid, provider)?;
                        }
                        open.push(item);
                    }
                    (Some(_), _) => open.push(item),
                    (None, _) => {}
                }
            }
        }
        Ok(open)
    }

    /// What somebody provides fails only once the time limit is over, and not for what it is.
    fn may_have_failed(&self, item: &Value) -> Result<()> {
        let hours = self.cluster.clock.hours();
        ensure!(hours >= TIME_LIMIT, "after {hours} hours of clock, and limits of {TIME_LIMIT}: {item}");
        let reason = item["info"]["failure_reason"].as_str().unwrap_or_default();
        ensure!(PASSING.contains(&reason), "it is whole, and somebody has it: {item}");
        Ok(())
    }

    fn ask_again(&self, account: &Account, cid: &str, provider: usize) -> Result<()> {
        let (name, origin) = (format!("again/{cid}"), &account.origins[provider..=provider]);
        account.add_surely(self.client(account), "/pins", (cid, &name), origin).map(drop)
    }

    /// All pins of an account, however many pages that takes.
    pub(super) fn list(&self, account: &Account) -> Result<Vec<Value>> {
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
        let dag = self.fixtures.find(item["pin"]["cid"].as_str().unwrap_or_default());
        dag.with_context(|| format!("nobody asked for {item}"))
    }

    /// Fetch every DAG that is pinned from the delegates into a store of its own, where each block is hashed.
    pub(super) fn fetch_all(&self) -> Result<()> {
        let pinned = self.pinned()?;
        ensure!(pinned.len() >= PINNED, "only {} DAGs are pinned", pinned.len());
        for item in pinned.values() {
            let (dag, info) = (self.dag(item)?, &item["info"]);
            let wanted = [json!(dag.blocks.to_string()), json!(dag.bytes.to_string())];
            ensure!([&info["blocks"], &info["dag_size"]] == [&wanted[0], &wanted[1]], "{item}: wanted {wanted:?}");
            self.fetch(dag, &item["delegates"])?;
        }
        Ok(())
    }

    /// Fetch what was replaced by what nobody has, and is asked for by no request any more.
    pub(super) fn fetch_kept(&self) -> Result<()> {
        if self.cluster.clock.hours() >= replace_chain::HELD {
            return Ok(());
        }
        let replacer = self.accounts.last().context("there is no replacer")?;
        let items = self.list(replacer)?;
        ensure!(items.len() == 1 && items[0]["status"] != "pinned", "of three pins that replace each other: {items:?}");
        // What replaces it goes to another node when its own is silent, and it stays where it is.
        let mut nodes = Vec::new();
        for account in self.accounts {
            nodes.extend(self.list(account)?.iter().filter_map(|item| item["delegates"].as_array()).flatten().cloned());
        }
        nodes.sort_by_key(Value::to_string);
        nodes.dedup();
        self.fetch(&self.fixtures.kept, &json!(nodes))
    }

    fn fetch(&self, dag: &Dag, delegates: &Value) -> Result<()> {
        let mut command = self.cluster.instance.worker();
        command.args(["fetch", &dag.cid]);
        for delegate in delegates.as_array().into_iter().flatten().filter_map(Value::as_str) {
            command.args(["--from", delegate]);
        }
        let output = run(command)?.success(&format!("pinrail-worker fetch {}", dag.cid))?;
        // A block that its CID carries is not sent, and not counted.
        let blocks = if dag.inline { 0 } else { dag.blocks };
        ensure!(output.contains(&format!(": {blocks} blocks,")), "{output}, wanted {blocks} blocks");
        Ok(())
    }
}
