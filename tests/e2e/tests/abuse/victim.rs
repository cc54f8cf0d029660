//! The requests of somebody else meanwhile: small requests, pins of small files, fetches of what is pinned.
//!
//! Nothing here measures. The limits are those at which a service stands still.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pinrail_testbed::child::Running;
use pinrail_testbed::instance::client::{Client, is_ready};
use pinrail_testbed::instance::pins::Pinned;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::json;

use super::target::Target;

/// Something small that takes this long stands still: alone it takes milliseconds.
pub const STANDSTILL: Duration = Duration::from_mins(1);
/// A request that has no answer within this time is given up, as clients do.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests of each kind.
const ROUNDS: u32 = 10;

/// Add pins, look one up, list, and ask for readiness, each over a new connection: all of it is answered, soon enough
/// that nobody would call it standing still.
pub fn ensure_answered(target: &Target) -> Result<String> {
    let client = Client::impatient(&target.instance.endpoint(), &target.victim.token, PATIENCE);
    let ready = format!("{}/health/ready", target.instance.endpoint());
    let (watch, mut slowest) = (Stopwatch::start(), Duration::ZERO);
    for round in 0..ROUNDS {
        let lap = Stopwatch::start();
        let pin = json!({ "cid": "bafkqaaa", "name": format!("round {round}") });
        let status = client.post("/pins", &pin)?.expect(202).context("a POST of another account")?;
        let request = status["requestid"].as_str().context("an answer without requestid")?;
        client.get(&format!("/pins/{request}"))?.expect(200).context("a look-up of another account")?;
        client.get("/pins?limit=10")?.expect(200).context("a list of another account")?;
        ensure!(is_ready(&ready), "the API says that it is not ready");
        slowest = slowest.max(lap.elapsed());
        ensure!(!watch.passed(STANDSTILL), "{} rounds of small requests took over a minute", round + 1);
    }
    Ok(format!("slowest round of four requests {:.2} s", slowest.as_secs_f64()))
}

/// Pin a small file that is provided.
pub fn ensure_pinned(target: &Target, name: &str) -> Result<Pinned> {
    let path = target.folder().join(name);
    fs::write(&path, format!("the victim's own file, {name}"))?;
    let provider = Provider::start(&target.instance, &path)?;
    let client = &target.victim.client;
    let request = client.add_pin(&provider.cid, name, &provider.addresses)?;
    let pinned = client.follow(&request, STANDSTILL, |_| ()).context("the victim's pin")?;
    provider.stop()?;
    Ok(pinned)
}

/// Pin so many small files, one after the other, all of them before anybody would say that pins stand still.
pub fn ensure_all_pinned(target: &Target, name: &str, count: u32) -> Result<String> {
    let watch = Stopwatch::start();
    for number in 0..count {
        ensure_pinned(target, &format!("{name}-{number}"))?;
        ensure!(!watch.passed(STANDSTILL), "{} small files took over a minute", number + 1);
    }
    Ok(format!("{count} small files pinned in {:.1} s", watch.elapsed().as_secs_f64()))
}

/// Fetch what is pinned from its delegates, with a node that nobody knows yet.
pub fn ensure_served(target: &Target, pinned: &Pinned) -> Result<()> {
    let mut command = target.instance.worker();
    command.args(["fetch", &pinned.cid]);
    for delegate in &pinned.delegates {
        command.args(["--from", delegate]);
    }
    let running = Running::start("fetch", command, &target.instance.logs().join("fetch.log"))?;
    running.wait_success(STANDSTILL).context("a good peer's fetch")
}
