//! 600 peers of one address that connect and do nothing: another account's pin is fetched, and a peer that nobody knows
//! yet is served.

use anyhow::Result;

use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{Attack, Setup, victim};
use crate::progress::Step;
use crate::resident::Baseline;

pub const ATTACK: Attack = Attack {
    name: "crowd",
    about: "600 idle peers of one address: a new good peer is served, a good pin is pinned, memory stays",
    body: attack,
};

const PEERS: usize = 600;
const MOST_MEBIBYTES: u32 = 150;

fn attack(setup: &Setup, step: &Step) -> Result<String> {
    let target = Target::start(setup)?;
    let pinned = victim::ensure_pinned(&target, "before")?;
    let before = Baseline::take(&target.worker)?;
    let mut crowd = Peers::attack(&target, "crowd", &["hold", "--peers", &PEERS.to_string()])?;
    crowd.wait_for(PEERS)?;
    step.detail("all of them came");
    victim::ensure_pinned(&target, "beside")?;
    victim::ensure_served(&target, &pinned)?;
    crowd.check()?;
    let grown = before.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES)?;
    let closed = crowd.count("closed");
    drop(crowd);
    target.stop()?;
    Ok(format!("{grown}, {closed} closed"))
}
