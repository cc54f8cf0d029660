//! `cargo test` over the workspace: unit tests, conformance, HTTP without sockets, documentation.

use anyhow::Result;
use pinrail_testbed::command::cargo;

use crate::progress::Step;
use crate::testing::cargo_output;
use crate::testing::part::{Context, Part, Run, Tally};
use crate::tools;

pub const UNIT: Part = Part {
    name: "unit",
    about: "the tests of every crate, and the examples in its documentation",
    run: Run::Own(unit),
};

fn unit(context: &Context, step: &Step) -> Result<Tally> {
    tools::prepare(&context.environment, "unit", step)?;
    let mut tally = Tally::default();
    // The tests of tests/e2e are parts of their own.
    let targets = ["--exclude", "pinrail-e2e", "--lib", "--bins", "--tests", "--examples"];
    for targets in [&targets[..], &["--doc"][..]] {
        let mut command = cargo(&context.environment, ["test", "--workspace", "--locked", "--no-fail-fast"]);
        command.args(targets).envs(context.histories.variables());
        let finished = step.run(command)?;
        tally.add(cargo_output::tally(&finished.output, finished.status.success()));
    }
    Ok(tally)
}
