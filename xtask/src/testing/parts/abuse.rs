//! Attackers and a victim at the same Pinrail.

use anyhow::Result;

use crate::abuse::{ALL, Setup};
use crate::chaos::Kind;
use crate::progress::Step;
use crate::testing::part::{Context, Part, Tally};

pub const ABUSE: Part = Part {
    name: "abuse",
    about: "attackers by the API and by the IPFS node's port: a victim's work goes on, memory stays",
    run: abuse,
};

fn abuse(context: &Context, step: &Step) -> Result<Tally> {
    let setup = Setup::new(&context.environment, context.programs(step)?, Kind::Sqlite, step)?;
    let mut tally = Tally::default();
    for attack in ALL {
        step.detail(attack.name);
        tally.check(attack.name, attack.run(&setup, step).map(drop));
    }
    Ok(tally)
}
