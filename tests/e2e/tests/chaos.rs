//! Histories under faults, of fixed seeds. A seed that failed once belongs here, with what it found.

use std::time::Duration;

use anyhow::Result;
use pinrail_chaos::{Kind, Trial};
use pinrail_e2e::turn;
use pinrail_testbed::programs;

#[test]
fn seed_1_on_sqlite() -> Result<()> {
    run(1, Kind::Sqlite)
}

#[test]
fn seed_1_on_postgresql() -> Result<()> {
    run(1, Kind::Postgres)
}

/// Runs a history with a minute of faults.
fn run(seed: u64, database: Kind) -> Result<()> {
    let _turn = turn()?;
    let trial = Trial { seed, length: Duration::from_mins(1), database };
    println!("{}", trial.run(&programs::for_tests()?.binaries)?);
    Ok(())
}
