//! 140 peers of as many networks that want a whole DAG and read a byte in seven seconds: somebody else fetches it from us
//! meanwhile.

use anyhow::Result;
use pinrail_testbed::resident::Baseline;
use pinrail_testbed::stopwatch::Stopwatch;

use super::pin_dag;
use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const DAG: &[&str] = &["--leaves", "48", "--size", "1000000"];
const PEERS: usize = 140;
/// What is sent has its budget; this is for all that the connections cost beside it.
const MOST_MEBIBYTES: u32 = 300;

#[test]
fn a_good_peer_fetches_what_140_slow_readers_want() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let pinned = pin_dag(&target, DAG)?;
        let before = Baseline::take(&target.worker)?;
        let count = PEERS.to_string();
        let mut readers =
            Peers::attack(&target, "slow-readers", &[&["read-slowly", "--spread", "--peers", &count], DAG].concat())?;
        readers.wait_for(PEERS)?;
        let watch = Stopwatch::start();
        victim::ensure_served(&target, &pinned)?;
        let seconds = watch.elapsed().as_secs_f64();
        readers.check()?;
        let grown = before.ensure_grown_at_most(&target.worker, MOST_MEBIBYTES)?;
        let closed = readers.count("closed");
        drop(readers);
        target.stop()?;
        Ok(format!("served after {seconds:.1} s, {grown}, {closed} closed"))
    })
}
