//! Runs one history under faults, for as long as one likes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use pinrail_chaos::{Kind, Trial};
use pinrail_testbed::programs::{self, Programs};
use pinrail_testbed::signals;

/// Kills, pauses and cuts off what runs while clients work, and sees that nothing is lost.
#[derive(Parser)]
#[command(name = "pinrail-chaos", about)]
struct Options {
    /// Draw the faults and the clients' wishes from this number; without it, from one that is printed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// For how long faults come; the checks afterwards take a minute or two.
    #[arg(long, value_name = "M", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,

    /// On which database.
    #[arg(long, value_name = "KIND", value_enum, default_value = "sqlite")]
    database: Kind,

    /// Take `pinrail-api` and `pinrail-worker` from this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    signals::listen()?;
    let programs = match &options.binaries {
        Some(folder) => Programs::in_folder(folder),
        None => programs::for_tests()?.clone(),
    };
    let trial = Trial {
        seed: options.seed.unwrap_or_else(fresh_seed),
        length: Duration::from_mins(options.minutes),
        database: options.database,
    };
    println!("{}", trial.name());
    println!("{}", trial.run(&programs.binaries)?);
    Ok(())
}

/// A number that nobody chose.
fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000
}
