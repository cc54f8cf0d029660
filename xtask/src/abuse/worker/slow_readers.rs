//! 140 peers of as many networks that want a whole DAG and read a byte in seven seconds: somebody else fetches it from us
//! meanwhile.

use anyhow::Result;

use super::pin_dag;
use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{Attack, Setup, victim};
use crate::progress::Step;
use crate::resident::Baseline;
use crate::stopwatch::Stopwatch;

pub const ATTACK: Attack = Attack {
    name: "slow-readers",
    about: "140 connections from as many networks that read a byte in 7 s: a good peer fetches what they want, memory stays",
    body: attack,
};

const DAG: &[&str] = &["--leaves", "48", "--size", "1000000"];
const PEERS: usize = 140;
/// What is sent has its budget; this is for all that the connections cost beside it.
const MOST_MEBIBYTES: u32 = 300;

fn attack(setup: &Setup, step: &Step) -> Result<String> {
    let target = Target::start(setup)?;
    step.detail("pinning");
    let pinned = pin_dag(&target, DAG)?;
    let before = Baseline::take(&target.worker)?;
    let count = PEERS.to_string();
    let mut readers =
        Peers::attack(&target, "slow-readers", &[&["read-slowly", "--spread", "--peers", &count], DAG].concat())?;
    readers.wait_for(PEERS)?;
    step.detail("all of them want it");
    let watch = Stopwatch::start();
    victim::ensure_served(&target, &pinned)?;
    let seconds = watch.elapsed().as_secs_f64();
    readers.check()?;
    let grown = before.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES)?;
    let closed = readers.count("closed");
    drop(readers);
    target.stop()?;
    Ok(format!("served after {seconds:.1} s, {grown}, {closed} closed"))
}
