//! `cargo test` over the workspace: unit tests, conformance, HTTP without sockets, documentation.

use anyhow::Result;

use crate::command::{cargo, run_showing};
use crate::progress::Step;
use crate::testing::cargo_output;
use crate::testing::part::{Context, Part, Tally};
use crate::tools::postgres;

pub const UNIT: Part =
    Part { name: "unit", about: "the tests of every crate, and the examples in its documentation", run: unit };

fn unit(context: &Context, step: &Step) -> Result<Tally> {
    postgres::ensure(&context.environment, step)?;
    // Built in one go with the binaries: features are then resolved once, and the parts that run
    // the binaries find them built.
    context.binaries(step)?;
    let mut tally = Tally::default();
    for targets in [&["--lib", "--bins", "--tests", "--examples"][..], &["--doc"][..]] {
        let mut command = cargo(&context.environment, ["test", "--workspace", "--locked", "--no-fail-fast"]);
        command.args(targets).envs(context.histories.variables());
        let finished = run_showing(command, step)?;
        tally.add(cargo_output::tally(&finished.output, finished.status.success()));
    }
    Ok(tally)
}
