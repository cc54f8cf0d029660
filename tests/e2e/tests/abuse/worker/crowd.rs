//! 600 peers of one address that connect and do nothing: another account's pin is fetched, and a peer that nobody knows
//! yet is served.

use anyhow::Result;
use pinrail_testbed::resident::Baseline;

use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const PEERS: usize = 600;
const MOST_MEBIBYTES: u32 = 150;

#[test]
fn a_new_peer_is_served_beside_600_idle_ones() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let pinned = victim::ensure_pinned(&target, "before")?;
        let before = Baseline::take(&target.worker)?;
        let mut crowd = Peers::attack(&target, "crowd", &["hold", "--peers", &PEERS.to_string()])?;
        crowd.wait_for(PEERS)?;
        victim::ensure_pinned(&target, "beside")?;
        victim::ensure_served(&target, &pinned)?;
        crowd.check()?;
        let grown = before.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES)?;
        let closed = crowd.count("closed");
        drop(crowd);
        target.stop()?;
        Ok(format!("{grown}, {closed} closed"))
    })
}
