//! `cargo xtask abuse`: attackers and a victim at the same Pinrail, which has to go on for the victim and stay small.
//!
//! Attackers come from 127.66.0.0/15, a victim from 127.0.0.1: limits of an address or of an address block tell them
//! apart.

mod api;
mod attack;
mod background;
mod disk;
mod everybody;
mod http;
mod peers;
mod sockets;
mod target;
mod victim;
mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::building::{self, Programs};
use crate::chaos::Kind;
use crate::environment::Environment;
use crate::progress::Step;
use crate::stopwatch::Stopwatch;
pub use attack::Attack;
pub use target::Setup;

/// Every attack: those on the API, those on the worker, and all kinds at once.
pub const ALL: &[&Attack] = &[
    &api::lists::ATTACK,
    &api::pages::ATTACK,
    &api::resets::ATTACK,
    &api::shapes::ATTACK,
    &api::connections::ATTACK,
    &api::tokens::ATTACK,
    &worker::silent_origins::ATTACK,
    &worker::junk_origins::ATTACK,
    &worker::slow_readers::ATTACK,
    &worker::dripping::ATTACK,
    &worker::empty_blocks::ATTACK,
    &worker::half_open::ATTACK,
    &worker::crowd::ATTACK,
    &worker::questions::ATTACK,
    &worker::promises::ATTACK,
    &worker::tiny_blocks::ATTACK,
    &worker::dead_roots::ATTACK,
    &worker::listener::ATTACK,
    &everybody::ATTACK,
];

#[derive(Args)]
pub struct Options {
    /// The attacks; without any, all of them.
    #[arg(value_name = "ATTACK")]
    attacks: Vec<String>,

    /// Name the attacks, and what has to hold under each.
    #[arg(long)]
    list: bool,

    /// Go on, round after round, for so long.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,

    /// On which database.
    #[arg(long, value_name = "KIND", value_enum, default_value = "sqlite")]
    database: Kind,

    /// Take the programs from this target folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
}

/// Run what was asked for.
pub fn run(environment: &Environment, options: &Options) -> Result<()> {
    let attacks = choose(&options.attacks)?;
    if options.list {
        for attack in attacks {
            println!("{:<16} {}", attack.name, attack.about);
        }
        return Ok(());
    }
    let programs = programs(environment, options.binaries.as_deref())?;
    let setup = Setup::new(environment, programs, options.database, &Step::silent())?;
    let length = options.minutes.map_or(Duration::ZERO, Duration::from_mins);
    let watch = Stopwatch::start();
    loop {
        run_round(&attacks, &setup)?;
        if watch.passed(length) {
            return Ok(());
        }
    }
}

fn programs(environment: &Environment, folder: Option<&Path>) -> Result<Programs> {
    if let Some(folder) = folder {
        return Ok(Programs::in_folder(folder));
    }
    let step = Step::start("build");
    let programs = building::attacking(environment, &step)?;
    step.done("both binaries, and the peers that attack them");
    Ok(programs)
}

/// Run each once, whatever became of those before.
fn run_round(attacks: &[&Attack], setup: &Setup) -> Result<()> {
    let mut failed = Vec::new();
    for attack in attacks {
        let step = Step::start(attack.name);
        match attack.run(setup, &step) {
            Ok(seen) => step.done(&seen),
            Err(error) => {
                crate::signals::check()?;
                step.done(&format!("FAILED: {error:#}"));
                failed.push(attack.name);
            }
        }
    }
    ensure!(failed.is_empty(), "did not hold under {}", failed.join(", "));
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static Attack>> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &String| ALL.iter().copied().find(|attack| attack.name == name);
    let chosen = names.iter().map(|name| find(name).ok_or(name)).collect::<Result<_, _>>();
    chosen.or_else(|unknown| {
        let known: Vec<&str> = ALL.iter().map(|attack| attack.name).collect();
        bail!("there is no attack `{unknown}`, wanted one of {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_chosen_by_name() {
        let one = choose(&["half-open".to_owned()]).unwrap();
        assert_eq!(one.iter().map(|attack| attack.name).collect::<Vec<_>>(), ["half-open"]);
        assert_eq!(choose(&[]).unwrap().len(), ALL.len());
        let error = choose(&["nothing".to_owned()]).err().unwrap().to_string();
        assert!(error.starts_with("there is no attack `nothing`, wanted one of lists, "), "{error}");
    }
}
