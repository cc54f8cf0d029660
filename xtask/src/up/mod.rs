//! `cargo xtask up`: a Pinrail on this machine, with a sample pinned, fetched back and served.

mod place;
mod remembered;

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use pinrail_testbed::child::Running;
use pinrail_testbed::environment::{Environment, root};
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::instance::pins::{Pinned, SAMPLE_NAME};
use pinrail_testbed::instance::ports::Ports;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::instance::sample;
use pinrail_testbed::{cache, programs, signals};

use crate::progress::Step;
use place::Place;
use remembered::Remembered;

/// The account that everything here belongs to.
const ACCOUNT: &str = "up";
/// How long the sample may take: a machine may be busy, but the sample is small and near.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Args)]
pub struct Options {
    /// Use this port for HTTP, the next for the worker's health, the one after it for libp2p
    /// (without it: 7400, 7401 and 4401).
    #[arg(long, value_name = "N")]
    port: Option<u16>,

    /// Run on PostgreSQL: on the database that `--database` names, or on a server that is started
    /// for this run and thrown away after it, with the data.
    #[arg(long, conflicts_with = "reset")]
    postgres: bool,

    /// Run on this PostgreSQL database; the rest of the data is kept beside that of other runs.
    #[arg(long, value_name = "URL", conflicts_with = "reset")]
    database: Option<String>,

    /// Throw away what earlier runs kept in `.pinrail`, and start over.
    #[arg(long)]
    reset: bool,
}

pub fn run(environment: &Environment, options: &Options) -> Result<()> {
    let ports = options.port.map_or(Ok(Ports::USUAL), Ports::from)?;
    // Before anything is built or removed: a Pinrail that runs keeps its data.
    ports.check()?;
    if options.reset {
        cache::clear(&root().join(".pinrail"))?;
    }
    let place = Place::find(environment, options)?;
    let step = Step::start("build");
    let binaries = programs::binaries(environment, &|line| step.detail(line))?;
    step.done("both binaries");

    let instance = Instance::at(&place.folder, binaries, ports)?.on(place.database.clone());
    prepare(&instance)?;
    let step = Step::start("start");
    let mut api = instance.start_api()?;
    let mut worker = instance.start_worker()?;
    step.done("pinrail-api and pinrail-worker are ready");

    let mut remembered = Remembered::read(&place.folder);
    let client = sign_in(&instance, &mut remembered)?;
    let pinned = pin_sample(&instance, &client, &mut remembered)?;
    remembered.write(&place.folder)?;
    fetch_back(&instance, &pinned)?;
    greet(&instance, &remembered.token, &pinned.cid);
    wait_for_the_end(&mut api, &mut worker)?;
    stop(worker, api)
}

/// The data folder, the tables, the keys and the account.
fn prepare(instance: &Instance) -> Result<()> {
    let step = Step::start("prepare");
    step.detail("migrating the database");
    instance.migrate()?;
    step.detail("making the account");
    instance.ensure_account(ACCOUNT)?;
    step.done("tables, keys and an account");
    Ok(())
}

/// The token of the last run if it is still good, else a new one: the service keeps none.
fn sign_in(instance: &Instance, remembered: &mut Remembered) -> Result<Client> {
    let client = Client::new(&instance.endpoint(), &remembered.token);
    if !remembered.token.is_empty() && client.get("/pins?limit=1")?.status == 200 {
        return Ok(client);
    }
    remembered.token = instance.mint_token(ACCOUNT, "up")?;
    Ok(Client::new(&instance.endpoint(), &remembered.token))
}

/// Have the sample pinned, unless it is since an earlier run.
fn pin_sample(instance: &Instance, client: &Client, remembered: &mut Remembered) -> Result<Pinned> {
    if let Some(pinned) = client.find_pinned(&remembered.request)? {
        Step::start("pin").done(&format!("{} is still pinned from an earlier run", pinned.cid));
        return Ok(pinned);
    }
    let step = Step::start("pin");
    step.detail("a second node provides a sample");
    let sample = sample::folder(instance.data());
    sample::write(&sample)?;
    let provider = Provider::start(instance, &sample)?;
    let request = client.add_pin(&provider.cid, SAMPLE_NAME, &provider.addresses)?;
    remembered.request.clone_from(&request);
    let pinned = client.follow(&request, PATIENCE, |progress| step.detail(progress))?;
    // From here on only Pinrail has it.
    provider.stop()?;
    step.done(&format!("{} is pinned, {}", pinned.cid, pinned.extent));
    Ok(pinned)
}

/// Prove that the worker's node serves what it holds: a third node fetches it from there.
fn fetch_back(instance: &Instance, pinned: &Pinned) -> Result<()> {
    let step = Step::start("fetch");
    let fetched = tempfile::tempdir()?;
    let output = fetched.path().join("sample");
    let mut command = instance.worker();
    command.args(["fetch", &pinned.cid]).arg("--output").arg(&output);
    for delegate in &pinned.delegates {
        command.args(["--from", delegate]);
    }
    step.run(command)?.success("pinrail-worker fetch")?;
    let sample = sample::folder(instance.data());
    ensure!(sample::same(&sample, &output)?, "what the worker serves differs from {}", sample.display());
    step.done("the worker's node served it back, byte for byte");
    Ok(())
}

fn greet(instance: &Instance, token: &str, cid: &str) {
    let endpoint = instance.endpoint();
    let data = instance.data();
    let data = data.strip_prefix(root()).unwrap_or(data).display();
    println!(
        "\nPinrail is up. Its data is in {data}, its logs in {data}/logs.

endpoint  {endpoint}
token     {token}

curl -H 'Authorization: Bearer {token}' '{endpoint}/pins?cid={cid}'

ipfs pin remote service add pinrail {endpoint} {token}

Ctrl-C stops it."
    );
}

/// Until somebody asks us to stop, or a binary dies.
fn wait_for_the_end(api: &mut Running, worker: &mut Running) -> Result<()> {
    while !signals::stopping() {
        api.check()?;
        worker.check()?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The worker first: what it settles last is written while the service still answers.
fn stop(worker: Running, api: Running) -> Result<()> {
    for (name, running) in [("pinrail-worker", worker), ("pinrail-api", api)] {
        let status = running.stop()?;
        ensure!(status.success(), "{name} did not stop cleanly: {status}");
    }
    println!("stopped");
    Ok(())
}
