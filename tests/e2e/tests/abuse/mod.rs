//! Attackers and a victim at the same Pinrail, which has to go on for the victim and stay small.
//!
//! Attackers come from 127.66.0.0/15, a victim from 127.0.0.1: limits of an address or of an address block tell them
//! apart. Each attack is a test in a file of its own; docs/security.md names them by their files.

mod api;
mod background;
mod disk;
mod everybody;
mod http;
mod peers;
mod sockets;
mod target;
mod victim;
mod worker;

use std::path::Path;

use anyhow::Result;
use pinrail_e2e::{minutes, turn};
use pinrail_testbed::stopwatch::Stopwatch;

/// Runs an attack in a folder of its own, which is kept and named when something does not hold.
fn attack(body: impl Fn(&Path) -> Result<String>) -> Result<()> {
    let _turn = turn()?;
    let watch = Stopwatch::start();
    loop {
        let folder = tempfile::Builder::new().prefix("pinrail-abuse-").tempdir()?;
        match body(folder.path()) {
            Ok(seen) => println!("{seen}"),
            Err(error) => {
                let kept = folder.keep();
                return Err(error.context(format!("the logs are in {}", kept.join("data/logs").display())));
            }
        }
        if watch.passed(minutes()?) {
            return Ok(());
        }
    }
}
