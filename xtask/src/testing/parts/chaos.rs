//! Histories under faults, of fixed seeds.

use std::time::Duration;

use anyhow::Result;

use crate::chaos::{Kind, Trial};
use crate::progress::Step;
use crate::testing::part::{Context, Part, Tally};

pub const CHAOS: Part = Part {
    name: "chaos",
    about: "clients keep working while processes are killed, paused and cut off: nothing is lost, nothing comes back",
    run: chaos,
};

/// What is run each time, and for how long faults come. A seed that failed once belongs here, with what it found.
const TRIALS: &[Trial] = &[
    Trial { seed: 1, length: Duration::from_mins(1), database: Kind::Sqlite },
    Trial { seed: 1, length: Duration::from_mins(1), database: Kind::Postgres },
];

fn chaos(context: &Context, step: &Step) -> Result<Tally> {
    let binaries = context.binaries(step)?;
    let mut tally = Tally::default();
    for trial in TRIALS {
        let result = trial.run(&context.environment, &binaries, step);
        tally.check(&trial.name(), result.map(drop));
    }
    Ok(tally)
}
