//! Strangers whose messages hold two million empty blocks: the memory of the worker stays, and another account's pin is
//! fetched.

use anyhow::Result;
use pinrail_testbed::resident::Baseline;

use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const PEERS: usize = 4;
/// Messages that come back are tried again under other identities.
const ATTACKS: usize = 12;
const MOST_MEBIBYTES: u32 = 150;

#[test]
fn memory_stays_under_messages_of_two_million_empty_blocks() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        victim::ensure_pinned(&target, "before")?;
        let before = Baseline::take(&target.worker)?;
        let mut peers = Peers::attack(&target, "empty-blocks", &["empty-blocks", "--peers", &PEERS.to_string()])?;
        peers.wait_for(ATTACKS)?;
        victim::ensure_pinned(&target, "beside")?;
        peers.check()?;
        let grown = before.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES)?;
        let closed = peers.count("closed");
        drop(peers);
        target.stop()?;
        Ok(format!("{grown}, {closed} closed"))
    })
}
