//! The HTTP service over SQLite under load, held against an axum handler that asks nobody.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::number;
use super::table::{Figure, at_least, at_most};
use crate::building;
use crate::child::Running;
use crate::command::{program, run_showing};
use crate::environment::{Environment, root};
use crate::instance::Instance;
use crate::instance::client::Client;
use crate::instance::ports::Ports;
use crate::progress::Step;

/// How long the yardstick may take to start.
const STARTING: Duration = Duration::from_secs(10);
/// How many accounts share the load in the figure with many.
const ACCOUNTS: usize = 100;
/// Any pin, whatever its status.
const FIRST_PAGE: &str = "/pins?limit=10&status=queued,pinning,pinned,failed";

/// A service under load.
struct Bench<'a> {
    step: &'a Step,
    instance: Instance,
    load: PathBuf,
}

pub fn measure(environment: &Environment, step: &Step) -> Result<Vec<Figure>> {
    let binaries = building::released(environment, step)?;
    let load = building::example(environment, "pinrail-http", "load", step)?;
    let folder = tempfile::tempdir()?;
    let instance = Instance::at(&folder.path().join("data"), binaries, Ports::free()?)?;
    let bench = Bench { step, instance, load };
    bench.instance.migrate()?;
    let api = bench.instance.start_api()?;
    // Once a node has registered, pins are accepted; the figures are those of the API alone.
    bench.instance.start_worker()?.stop()?;
    let tokens = bench.tokens()?;
    let figures = bench.figures(&tokens)?;
    api.stop()?;
    Ok(figures)
}

impl Bench<'_> {
    /// One unlimited account's token, and those of many, a file each.
    fn tokens(&self) -> Result<[PathBuf; 2]> {
        let mut many = Vec::new();
        for number in 0..ACCOUNTS {
            self.step.detail(&format!("account {number}"));
            let name = format!("bench-{number}");
            self.instance.ensure_account(&name)?;
            many.push(self.instance.mint_token(&name, "bench")?);
        }
        let write = |name: &str, tokens: &[String]| -> Result<PathBuf> {
            let path = self.instance.data().join(name);
            fs::write(&path, tokens.join("\n"))?;
            Ok(path)
        };
        Ok([write("one", &many[..1])?, write("many", &many[1..])?])
    }

    fn figures(&self, [one, many]: &[PathBuf; 2]) -> Result<Vec<Figure>> {
        let server = format!("127.0.0.1:{}", self.instance.ports.api);
        let target = |tokens: &PathBuf, requests: &str| {
            ["--server", &server, "--tokens", &tokens.to_string_lossy(), "--requests", requests]
                .map(str::to_owned)
                .to_vec()
        };
        let post_one = self.run("post", target(one, "20000"), &[])?;
        let post_many = self.run("post", target(many, "20000"), &[])?;
        let find = self.run("get", target(one, "30000"), &["--path", "/pins/{id}"])?;
        let list = self.run("get", target(one, "30000"), &["--path", FIRST_PAGE])?;
        let walk = self.run("walk", target(one, "1"), &[])?;
        let bare_find = self.bare(one, |page| page["results"][0].clone())?;
        let bare_list = self.bare(one, Value::clone)?;
        let half = "half of an axum handler that returns the same JSON";
        Ok(vec![
            Figure::new("POST /pins, 16 at once, one account", rate(&post_one)?, "/s")
                .against(at_least(3_000.0, "the goal, where bare inserts do 6,000")),
            Figure::new("POST /pins, 16 at once, a hundred accounts", rate(&post_many)?, "/s")
                .against(at_least(3_000.0, "the goal, where bare inserts do 6,000")),
            Figure::new("GET /pins/{id}, 16 at once", rate(&find)?, "/s").against(at_least(bare_find / 2.0, half)),
            Figure::new("first page of 20,000 and count, 16 at once", rate(&list)?, "/s")
                .against(at_least(bare_list / 2.0, half)),
            Figure::new("the slowest hundredth of those pages", number(&list, "/p99_ms")?, "ms")
                .against(at_most(120.0, "ipfs-cluster's median at 10,000 pins, alone")),
            Figure::new("a page of a walk by ten through 20,000", number(&walk, "/p50_ms")?, "ms"),
        ])
    }

    /// The rate of a handler with no database that answers what the service answers to this.
    fn bare(&self, tokens: &PathBuf, part: impl FnOnce(&Value) -> Value) -> Result<f64> {
        let token = fs::read_to_string(tokens)?;
        let client = Client::new(&self.instance.endpoint(), token.trim());
        let page = client.get(FIRST_PAGE)?.expect(200)?;
        let file = self.instance.data().join("bare.json");
        fs::write(&file, part(&page).to_string())?;
        let listen = format!("127.0.0.1:{}", Ports::free()?.api);
        let mut command = program(&self.load, self.instance.data());
        command.args(["bare", "--listen", &listen, "--body"]).arg(&file);
        let log = self.instance.logs().join("bare.log");
        let mut running = Running::start("load bare", command, &log)?;
        running
            .wait_until(STARTING, "port", || fs::read_to_string(&log).is_ok_and(|text| text.contains("listening")))?;
        let target = ["--server", &listen, "--tokens", &tokens.to_string_lossy(), "--requests", "30000"];
        let measured = self.run("get", target.map(str::to_owned).to_vec(), &["--path", "/pins"])?;
        running.stop()?;
        rate(&measured)
    }

    fn run(&self, what: &str, target: Vec<String>, more: &[&str]) -> Result<Value> {
        let mut command = program(&self.load, root());
        command.arg(what).args(target).args(more);
        let output = run_showing(command, self.step)?.success(&format!("load {what}"))?;
        let line = output.lines().rfind(|line| line.starts_with('{')).context("load printed no JSON")?;
        Ok(serde_json::from_str(line)?)
    }
}

fn rate(measured: &Value) -> Result<f64> {
    number(measured, "/rate")
}
