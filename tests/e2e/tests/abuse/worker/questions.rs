//! Strangers that want thousands of blocks which nobody has, message after message: another account's pins are fetched,
//! what is kept of the wants is bounded.

use anyhow::Result;
use pinrail_testbed::resident::Baseline;

use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const PEERS: usize = 20;
const FILES: u32 = 5;
const MOST_MEBIBYTES: u32 = 150;

#[test]
fn memory_stays_while_20_peers_want_blocks_without_end() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let pinned = victim::ensure_pinned(&target, "before")?;
        let before = Baseline::take(&target.worker)?;
        let mut peers = Peers::attack(&target, "questions", &["ask-without-end", "--peers", &PEERS.to_string()])?;
        peers.wait_for(PEERS)?;
        let seen = victim::ensure_all_pinned(&target, "beside", FILES)?;
        victim::ensure_served(&target, &pinned)?;
        peers.check()?;
        let grown = before.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES)?;
        let closed = peers.count("closed");
        drop(peers);
        target.stop()?;
        Ok(format!("{seen}, {grown}, {closed} closed"))
    })
}
