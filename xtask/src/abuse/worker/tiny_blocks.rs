//! A DAG of tiny blocks against an account's bytes: the disk that it takes is bounded by what the account may use.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{Attack, Setup, disk, victim};
use crate::progress::Step;
use crate::signals;
use crate::stopwatch::Stopwatch;

pub const ATTACK: Attack = Attack {
    name: "tiny-blocks",
    about: "40,000 tiny blocks against a quota of 3 MiB: the disk that they take is bounded by it",
    in_suite: false,
    body: attack,
};

const DAG: &[&str] = &["--leaves", "40000", "--size", "8"];
const QUOTA: &str = "3MiB";
/// The disk that an account with that quota may take, with what the store keeps beside blocks.
const MOST_BYTES: u64 = 8 << 20;

fn attack(setup: &Setup, step: &Step) -> Result<String> {
    let target = Target::start(setup)?;
    target.instance.command(&["access", "grant", "attacker", "--bytes", QUOTA])?;
    victim::ensure_pinned(&target, "before")?;
    let blocks = target.instance.data().join("blocks");
    let before = disk::used(&blocks)?;
    let (mut peers, provided) = Peers::listen(&target, "tiny", &[&["provide"], DAG].concat())?;
    let request = target.attacker.client.add_pin(&provided.cid, "tiny", &provided.addresses)?;
    let watch = Stopwatch::start();
    let status = loop {
        signals::check()?;
        peers.check()?;
        let status = target.attacker.client.get(&format!("/pins/{request}"))?.expect(200)?;
        if ["pinned", "failed"].iter().any(|end| status["status"] == *end) {
            break status;
        }
        ensure!(!watch.passed(victim::STANDSTILL), "neither pinned nor failed: {status}");
        step.detail(&status["info"]["blocks"].to_string());
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    let used = disk::used(&blocks)?.saturating_sub(before);
    let end = described(&status);
    ensure!(used <= MOST_BYTES, "{end}, and {} KiB of disk are used with a quota of {QUOTA}", used >> 10);
    victim::ensure_pinned(&target, "beside")?;
    target.stop()?;
    Ok(format!("{end}, {} KiB of disk", used >> 10))
}

fn described(status: &Value) -> String {
    let info = &status["info"];
    format!("{} {} blocks={} size={}", status["status"], info["failure_reason"], info["blocks"], info["dag_size"])
}
