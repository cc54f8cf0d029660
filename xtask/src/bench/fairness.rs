//! A hundred thousand queued roots that nobody provides in one account, and one after another of somebody else's that
//! somebody provides.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use super::api::Site;
use super::table::{Figure, at_most};
use crate::instance::client::Client;
use crate::instance::provider::Provider;
use crate::stopwatch::Stopwatch;

const QUEUED: u32 = 100_000;
const PINS: usize = 9;
/// How long the worker is left alone with the roots that nobody provides: until every slot has been taken by some and
/// given up again.
const SETTLING_IN: Duration = Duration::from_secs(25);
/// How often a pin is asked for.
const POLL: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_mins(1);

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let site = Site::make(bench, &[("greedy", QUEUED), ("modest", 0)], &["--queued"])?;
    let instance = &site.instance;
    let (api, worker) = (instance.start_api()?, instance.start_worker()?);
    let client = Client::new(&instance.endpoint(), &instance.mint_token("modest", "bench")?);
    let greedy = Client::new(&instance.endpoint(), &instance.mint_token("greedy", "bench")?);
    let folder = tempfile::tempdir()?;
    bench.step.detail("waiting until the slots are taken");
    thread::sleep(SETTLING_IN);
    let tried = greedy.get("/pins?limit=1&status=pinning")?.expect(200)?["count"].as_u64().unwrap_or_default();
    ensure!(tried > 0, "the worker took none of the {QUEUED} roots");

    let mut times = Vec::new();
    for number in 0..PINS {
        let path = folder.path().join(format!("good-{number}"));
        fs::write(&path, format!("what somebody provides, for the time number {number}"))?;
        times.push(pin(bench, &site, &client, &path)?);
    }
    times.sort_by(f64::total_cmp);
    let figures = vec![
        Figure::new("roots that were tried of 100,000", f64::from(u32::try_from(tried)?), ""),
        Figure::new("POST to pinned beside them, the median", times[PINS / 2], "ms")
            .against(at_most(1_000.0, "the goal")),
        Figure::new("POST to pinned beside them, the slowest of nine", times[PINS - 1], "ms")
            .against(at_most(1_000.0, "the goal"))
            .limited_by("the pace of the worker's steps, ten a second, and what else runs on the machine"),
    ];
    worker.stop()?;
    api.stop()?;
    site.clear()?;
    Ok(figures)
}

/// The milliseconds from the POST of a file that is provided to its being pinned.
fn pin(bench: &Bench, site: &Site, client: &Client, path: &Path) -> Result<f64> {
    let provider = Provider::start(&site.instance, path)?;
    let watch = Stopwatch::start();
    let request = client.add_pin(&provider.cid, "good", &provider.addresses)?;
    while client.find_pinned(&request)?.is_none() {
        ensure!(!watch.passed(PATIENCE), "a root that is provided is not pinned within {} s", PATIENCE.as_secs());
        crate::signals::check()?;
        thread::sleep(POLL);
    }
    let took = watch.elapsed().as_secs_f64() * 1e3;
    bench.step.detail(&format!("{took:.0} ms"));
    provider.stop()?;
    Ok(took)
}
