//! Queued roots that nobody provides in some accounts, and one after another of somebody else's that somebody provides.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::stopwatch::Stopwatch;

use super::Bench;
use super::api::Site;
use super::table::{Figure, at_most};

const PINS: usize = 9;
/// How often a pin is asked for.
const POLL: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_mins(1);

/// Accounts whose roots nobody provides.
struct Crowd {
    name: &'static str,
    accounts: usize,
    /// Roots of each.
    roots: u32,
    /// Roots that nobody provides of the account that is measured.
    own: u32,
    /// How long the worker is left alone with them before somebody else's pins are measured.
    settling_in: Duration,
}

const CROWDS: [Crowd; 3] = [
    Crowd {
        name: "100,000 of another account",
        accounts: 1,
        roots: 100_000,
        own: 0,
        settling_in: Duration::from_secs(25),
    },
    Crowd { name: "2,500 of each of two", accounts: 2, roots: 2_500, own: 600, settling_in: Duration::ZERO },
    Crowd {
        name: "2,500 of each of ten and 600 own",
        accounts: 10,
        roots: 2_500,
        own: 600,
        settling_in: Duration::ZERO,
    },
];

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for crowd in &CROWDS {
        figures.extend(beside(bench, crowd)?);
    }
    Ok(figures)
}

fn beside(bench: &Bench, crowd: &Crowd) -> Result<Vec<Figure>> {
    let names = (1..=crowd.accounts).map(|number| format!("greedy-{number}")).collect::<Vec<_>>();
    let mut accounts = names.iter().map(|name| (name.as_str(), crowd.roots)).collect::<Vec<_>>();
    accounts.push(("modest", crowd.own));
    let site = Site::make(bench, &accounts, &["--queued"])?;
    let instance = &site.instance;
    let (api, worker) = (instance.start_api()?, instance.start_worker()?);
    let client = Client::new(&instance.endpoint(), &instance.mint_token("modest", "bench")?);
    let greedy = Client::new(&instance.endpoint(), &instance.mint_token(&names[0], "bench")?);
    let folder = tempfile::tempdir()?;
    let round = Stopwatch::start();
    bench.step.detail("waiting until the slots are taken");
    thread::sleep(crowd.settling_in);

    let mut times = Vec::new();
    for number in 0..PINS {
        let path = folder.path().join(format!("good-{number}"));
        fs::write(&path, format!("what somebody provides, for the time number {number}"))?;
        times.push(pin(bench, &site, &client, &path)?);
    }
    times.sort_by(f64::total_cmp);
    let name = crowd.name;
    let mut figures = vec![
        Figure::new(format!("POST to pinned beside {name}, the median"), times[PINS / 2], "ms")
            .against(at_most(1_000.0, "the goal")),
        Figure::new(format!("POST to pinned beside {name}, the slowest of nine"), times[PINS - 1], "ms")
            .against(at_most(1_000.0, "the goal"))
            .limited_by("the pace of the worker's steps, ten a second, and what else runs on the machine"),
    ];
    let untried = || Ok::<_, anyhow::Error>(greedy.get("/pins?limit=1&status=queued")?.expect(200)?["count"].as_u64());
    if crowd.settling_in.is_zero() {
        while untried()? != Some(0) {
            ensure!(!round.passed(PATIENCE), "not all roots were tried within {} s", PATIENCE.as_secs());
            thread::sleep(POLL);
        }
        let took = round.elapsed().as_secs_f64();
        figures.push(Figure::new(format!("the first round of {name}"), took, "s").against(at_most(30.0, "the goal")));
    } else {
        let tried = u64::from(crowd.roots) - untried()?.unwrap_or_default();
        ensure!(tried > 0, "the worker took none of the {} roots", crowd.roots);
        figures.push(Figure::new(format!("roots tried of {name}"), f64::from(u32::try_from(tried)?), ""));
    }
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
        pinrail_testbed::signals::check()?;
        thread::sleep(POLL);
    }
    let took = watch.elapsed().as_secs_f64() * 1e3;
    bench.step.detail(&format!("{took:.0} ms"));
    provider.stop()?;
    Ok(took)
}
