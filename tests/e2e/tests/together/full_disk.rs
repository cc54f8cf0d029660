//! A full disk under everything: pins wait, nothing fails, deletes go on, and room is all that it takes.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pinrail_e2e::{Fixture, skip};
use pinrail_testbed::command::{program, run};
use pinrail_testbed::environment::root;
use pinrail_testbed::instance::client::is_ready;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::instance::sample;
use pinrail_testbed::signals;
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::Value;
use tempfile::TempDir;

/// The size of the file system at first: the database, the small pin and the reserve, but not the large one.
const SMALL: &str = "size=48m";
const LARGE: &str = "size=256m";

/// What both programs keep free, small enough for the file system, and how soon the worker tries again.
const SETTINGS: &str = "[api]\nreserve = '1MiB'\n[worker]\nreserve = '12MiB'\nballast = '4MiB'\npause = '1s'\n";

/// What is left free of the reserve: the database still has to write.
const LEFT: u64 = 8 << 20;

/// The large file in pieces of three mebibytes.
const PIECES: u8 = 14;

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn on_a_full_disk_a_pin_waits_nothing_fails_deletes_go_on_and_with_room_it_is_pinned() -> Result<()> {
    match SmallDisk::mount() {
        Ok(disk) => full_disk(&disk),
        Err(problem) => {
            skip(&format!("{problem:#}"));
            Ok(())
        }
    }
}

/// A small file system of its own, in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Result<Self> {
        let disk = Self(tempfile::tempdir()?);
        let lacks = "a small file system cannot be mounted, which takes root (CAP_SYS_ADMIN)";
        mount(&["-t", "tmpfs", "-o", SMALL, "tmpfs"], disk.path()).context(lacks)?;
        Ok(disk)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn give_room(&self) -> Result<()> {
        mount(&["-o", &format!("remount,{LARGE}")], self.path())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Of one that was never mounted there is nothing to tell.
        let mut command = program("umount", root());
        command.arg("--lazy").arg(self.0.path());
        let _ = run(command);
    }
}

fn mount(arguments: &[&str], at: &Path) -> Result<()> {
    let mut command = program("mount", root());
    command.args(arguments).arg(at);
    run(command)?.success("mount").map(drop)
}

fn full_disk(disk: &SmallDisk) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (small, large) = (folder.path().join("small"), folder.path().join("large"));
    sample::write(&small)?;
    write_large(&small, &large)?;
    let data = disk.path().join("data");
    let mut fixture = Fixture::prepare_at(&data, folder, None)?;
    fs::write(data.join("pinrail.toml"), SETTINGS)?;
    fixture.restart()?;

    let provider = Provider::start(&fixture.instance, &small)?;
    let held = fixture.client.add_pin(&provider.cid, "held", &provider.addresses)?;
    fixture.client.follow(&held, PATIENCE, |_| ())?;
    provider.stop()?;

    let provider = Provider::start(&fixture.instance, &large)?;
    let request = fixture.client.add_pin(&provider.cid, "large", &provider.addresses)?;
    let full = wait_for(&fixture, &request, |status| details(status).contains("storage of its IPFS node is full"))?;
    ensure!(full["info"]["attempts"].is_null(), "an attempt was spent: {full}");
    let health = format!("http://127.0.0.1:{}/health/ready", fixture.instance.ports.health);
    fill(disk, &health)?;

    let place = format!("/pins/{held}");
    fixture.client.delete(&place)?.expect(202)?;
    fixture.client.get(&place)?.expect(404)?;
    let waiting = fixture.client.get(&format!("/pins/{request}"))?.expect(200)?;
    ensure!(waiting["status"] != "pinned" && waiting["status"] != "failed", "{waiting}");

    disk.give_room()?;
    fixture.client.follow(&request, PATIENCE, |_| ())?;
    provider.stop()
}

/// Reach into the reserve, which fetches pause before, and wait until the worker says that it is not ready.
fn fill(disk: &SmallDisk, health: &str) -> Result<()> {
    let mut command = program("df", root());
    command.args(["--output=avail", "-B1"]).arg(disk.path());
    let told = run(command)?.success("df")?;
    let free: u64 = told.lines().last().unwrap_or_default().trim().parse().with_context(|| told.clone())?;
    File::create(disk.path().join("other"))?.write_all(&vec![0; usize::try_from(free.saturating_sub(LEFT))?])?;
    let watch = Stopwatch::start();
    while is_ready(health) {
        signals::check()?;
        ensure!(!watch.passed(PATIENCE), "the worker says that it is ready");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A file that has none of its blocks twice.
fn write_large(small: &Path, large: &Path) -> Result<()> {
    let piece = fs::read(small.join(sample::LARGE))?;
    let bytes = (1..=PIECES).flat_map(|number| piece.iter().map(move |byte| byte ^ number)).collect::<Vec<_>>();
    Ok(fs::write(large, bytes)?)
}

/// Ask for a request until `is_so`; that it failed is an error.
fn wait_for(fixture: &Fixture, request: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let watch = Stopwatch::start();
    loop {
        signals::check()?;
        let status = fixture.client.get(&format!("/pins/{request}"))?.expect(200)?;
        match status["status"].as_str() {
            Some("pinned" | "failed") => bail!("it did not wait: {status}"),
            _ if is_so(&status) => return Ok(status),
            _ if watch.passed(PATIENCE) => bail!("not within {} s: {status}", PATIENCE.as_secs()),
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn details(status: &Value) -> &str {
    status["info"]["status_details"].as_str().unwrap_or_default()
}
