//! Peers that say HAVE to whatever is asked for and never deliver, as strangers and as origins of a hundred roots: good
//! pins are fetched meanwhile.

use anyhow::{Context, Result, ensure};
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::json;

use super::{missing, provide};
use crate::abuse::peers::Peers;
use crate::abuse::target::Target;
use crate::abuse::{attack, victim};

const PEERS: &str = "8";
const ROOTS: usize = 100;
const FILES: u32 = 20;

#[test]
fn good_pins_are_fetched_beside_peers_that_promise_and_never_deliver() -> Result<()> {
    attack(|folder| {
        let target = Target::start(folder)?;
        let claim = ["answer", "--claim", "have", "--peers", PEERS];
        let (mut origins, told) = Peers::listen(&target, "promising-origins", &claim)?;
        let mut strangers = Peers::attack(&target, "promising-strangers", &claim)?;
        strangers.wait_for(1)?;
        let attacker = &target.attacker.client;
        for number in 0..ROOTS {
            attacker.add_pin(&missing("promised", number), "promised", &told.addresses)?;
        }
        origins.wait_asked()?;
        let watch = Stopwatch::start();
        for number in 0..FILES {
            let good = provide(&target, &format!("good-{number}"))?;
            attacker.add_pin(&good.cid, "the same", &told.addresses)?;
            let request = target.victim.client.add_pin(&good.cid, "good", &good.addresses)?;
            target.victim.client.follow(&request, victim::STANDSTILL, |_| ()).context("the victim's pin")?;
            good.stop()?;
            ensure!(!watch.passed(victim::STANDSTILL), "{} small files took over a minute", number + 1);
        }
        let seconds = watch.elapsed().as_secs_f64();
        origins.check()?;
        strangers.check()?;
        let still = attacker.get("/pins?status=queued,pinning&limit=1")?.expect(200)?;
        ensure!(still["count"] != json!(0), "nothing is promised any more");
        let asked = origins.count("asked") + strangers.count("asked");
        drop((origins, strangers));
        target.stop()?;
        Ok(format!("{FILES} pinned after {seconds:.1} s, {asked} asked"))
    })
}
