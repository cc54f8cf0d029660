//! Strangers whose messages hold two million empty blocks: the memory of the worker stays, and another account's pin is
//! fetched.

use anyhow::Result;

use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{Attack, Setup, victim};
use crate::progress::Step;
use crate::resident::Baseline;

pub const ATTACK: Attack = Attack {
    name: "empty-blocks",
    about: "messages with two million empty blocks: the worker's memory stays, a good pin is pinned",
    body: attack,
};

const PEERS: usize = 4;
/// Messages that come back are tried again under other identities.
const ATTACKS: usize = 12;
const MOST_MEBIBYTES: u32 = 150;

fn attack(setup: &Setup, step: &Step) -> Result<String> {
    let target = Target::start(setup)?;
    victim::ensure_pinned(&target, "before")?;
    let before = Baseline::take(&target.worker)?;
    let mut peers = Peers::attack(&target, "empty-blocks", &["empty-blocks", "--peers", &PEERS.to_string()])?;
    peers.wait_for(ATTACKS)?;
    step.detail("messages come");
    victim::ensure_pinned(&target, "beside")?;
    peers.check()?;
    let grown = before.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES)?;
    let closed = peers.count("closed");
    drop(peers);
    target.stop()?;
    Ok(format!("{grown}, {closed} closed"))
}
