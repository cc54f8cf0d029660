//! Twenty junk addresses of the victim's own provider, named by another account for the same root before and after the
//! victim names the good one: the root is fetched.

use anyhow::{Context, Result};
use pinrail_testbed::stopwatch::Stopwatch;

use super::provide;
use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

/// As many as one request may name.
const JUNK: &str = "20";

#[test]
fn a_root_is_fetched_from_its_good_origin_beside_junk_addresses() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let good = provide(&target, "good")?;
        let origin = good.addresses.first().context("the provider has an address")?;
        let peer = origin.rsplit('/').next().unwrap_or_default();
        let (mut before, junk) = Peers::listen(&target, "junk-before", &["silent", "--hosts", JUNK, "--peer", peer])?;
        let more = ["silent", "--from", "127.66.1.1", "--hosts", JUNK, "--peer", peer];
        let (mut after, more) = Peers::listen(&target, "junk-after", &more)?;
        let attacker = &target.attacker.client;
        attacker.add_pin(&good.cid, "junk before", &junk.addresses)?;
        before.wait_for(1)?;
        let watch = Stopwatch::start();
        let request = target.victim.client.add_pin(&good.cid, "good", &good.addresses)?;
        attacker.add_pin(&good.cid, "junk after", &more.addresses)?;
        target.victim.client.follow(&request, victim::STANDSTILL, |_| ()).context("the victim's pin")?;
        let seconds = watch.elapsed().as_secs_f64();
        before.check()?;
        after.check()?;
        let dialled = before.count("attacking") + after.count("attacking");
        good.stop()?;
        target.stop()?;
        Ok(format!("pinned after {seconds:.1} s, {dialled} junk dials"))
    })
}
