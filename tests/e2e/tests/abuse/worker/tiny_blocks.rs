//! DAGs of tiny blocks against an account's bytes, until the account may pin no more: the disk that they take is bounded
//! by what the account may use.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use pinrail_testbed::signals;
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::json;

use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, disk, victim};

const DAGS: u32 = 6;
const QUOTA: u64 = 16 << 20;
const POLL: Duration = Duration::from_millis(100);

#[test]
fn a_quota_bounds_the_disk_that_tiny_blocks_take() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        target.instance.command(&["access", "grant", "attacker", "--bytes", &QUOTA.to_string()])?;
        victim::ensure_pinned(&target, "before")?;
        let blocks = target.instance.data().join("blocks");
        let before = disk::used(&blocks)?;
        let mut pinned = 0;
        while pinned < DAGS && pin_tiny(&target, pinned)? {
            pinned += 1;
        }
        let used = disk::used(&blocks)?.saturating_sub(before);
        ensure!(used <= QUOTA, "{pinned} DAGs take {} KiB of disk, wanted at most {} KiB", used >> 10, QUOTA >> 10);
        victim::ensure_pinned(&target, "beside")?;
        target.stop()?;
        Ok(format!("{pinned} DAGs before the account was refused, {} KiB of disk", used >> 10))
    })
}

/// Have another DAG pinned; false if the account may not, or the pin fails.
fn pin_tiny(target: &Target, number: u32) -> Result<bool> {
    let shape = ["provide", "--leaves", "10000", "--size", "8", "--salt", &number.to_string()];
    let (mut peers, provided) = Peers::listen(target, "tiny", &shape)?;
    let client = &target.attacker.client;
    let added = client.post("/pins", &json!({ "cid": provided.cid, "origins": provided.addresses }))?;
    if added.status != 202 {
        return Ok(false);
    }
    let watch = Stopwatch::start();
    loop {
        signals::check()?;
        peers.check()?;
        let place = format!("/pins/{}", added.body["requestid"].as_str().unwrap_or_default());
        let status = client.get(&place)?.expect(200)?;
        match status["status"].as_str() {
            Some("pinned") => return Ok(true),
            Some("failed") => return Ok(false),
            _ => thread::sleep(POLL),
        }
        ensure!(!watch.passed(victim::STANDSTILL), "neither pinned nor failed: {status}");
    }
}
