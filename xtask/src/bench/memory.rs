//! The memory of both binaries while four large files are fetched at once, and of the API with 100,000 pins.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::instance::ports::Ports;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::resident;
use pinrail_testbed::stopwatch::Stopwatch;
use sha2::{Digest, Sha256};

use super::table::{Figure, at_most};
use super::{Bench, api};
use crate::progress::Step;

const FILES: u8 = 4;
const MEBIBYTES: u32 = 256;
const PATIENCE: Duration = Duration::from_mins(5);

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let step = bench.step;
    let binaries = bench.programs.binaries.clone();
    let folder = tempfile::tempdir()?;
    let instance = Instance::at(&folder.path().join("data"), binaries, Ports::free()?)?;
    instance.migrate()?;
    instance.ensure_account("bench")?;
    let (api, worker) = (instance.start_api()?, instance.start_worker()?);
    let client = Client::new(&instance.endpoint(), &instance.mint_token("bench", "bench")?);
    let seconds = fetch_at_once(&instance, &client, folder.path(), step)?;
    let figures = vec![
        Figure::new(
            "four files of 256 MiB, POST to pinned",
            f64::from(u32::from(FILES) * MEBIBYTES) / seconds,
            "MiB/s",
        ),
        Figure::new("pinrail-api at its most", resident::peak_mebibytes(&api)?, "MiB")
            .against(at_most(50.0, "the goal")),
        Figure::new("pinrail-worker at its most", resident::peak_mebibytes(&worker)?, "MiB")
            .against(at_most(200.0, "the goal")),
        api::memory(bench)?,
    ];
    worker.stop()?;
    api.stop()?;
    Ok(figures)
}

/// Have all files pinned at the same time; how many seconds that took.
fn fetch_at_once(instance: &Instance, client: &Client, folder: &Path, step: &Step) -> Result<f64> {
    let mut providers = Vec::new();
    for number in 0..FILES {
        step.detail(&format!("file {number}"));
        let path = folder.join(format!("file-{number}"));
        write_file(&path, number)?;
        providers.push(Provider::start(instance, &path)?);
    }
    let watch = Stopwatch::start();
    let requests: Vec<String> = providers
        .iter()
        .map(|provider| client.add_pin(&provider.cid, "bench", &provider.addresses))
        .collect::<Result<_>>()?;
    for request in &requests {
        client.follow(request, PATIENCE, |progress| step.detail(progress))?;
    }
    let seconds = watch.elapsed().as_secs_f64();
    providers.into_iter().try_for_each(Provider::stop)?;
    Ok(seconds)
}

/// Bytes without a pattern, others in each file.
fn write_file(path: &Path, number: u8) -> Result<()> {
    let mut file = File::create(path)?;
    let mut mebibyte = vec![0; 1 << 20];
    for part in 0..MEBIBYTES {
        for (position, chunk) in mebibyte.chunks_mut(32).enumerate() {
            // One hash a kibibyte is pattern enough; the rest only has to differ between blocks.
            if position % 32 == 0 {
                chunk.copy_from_slice(&Sha256::digest(format!("{number} {part} {position}")));
            }
        }
        file.write_all(&mebibyte)?;
    }
    Ok(())
}
