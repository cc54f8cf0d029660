//! Thirty strangers of as many networks with 250 streams each, on every one a message of 4 MiB that drips: the memory of
//! the worker stays, and another account's pin is fetched.

use anyhow::Result;
use pinrail_testbed::resident::Baseline;

use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const PEERS: usize = 30;
/// The budget of what is received, and what its bookkeeping and the allocator take beside it, of peers that come back as
/// soon as they are closed.
const MOST_MEBIBYTES: u32 = 320;

#[test]
fn memory_stays_under_thousands_of_dripping_streams() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        victim::ensure_pinned(&target, "before")?;
        let before = Baseline::take(&target.worker)?;
        let mut peers = Peers::attack(
            &target,
            "dripping",
            &["drip", "--spread", "--peers", &PEERS.to_string(), "--streams", "250"],
        )?;
        peers.wait_for(PEERS)?;
        for number in 0..5 {
            victim::ensure_pinned(&target, &format!("beside-{number}"))?;
        }
        peers.check()?;
        let grown = before.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES)?;
        let closed = peers.count("closed");
        drop(peers);
        target.stop()?;
        Ok(format!("{grown}, {closed} closed"))
    })
}
