//! The tests of tests/e2e, which drive the built programs: those in the module of one part.

use anyhow::{Context as _, Result};
use pinrail_testbed::command::cargo;
use pinrail_testbed::environment::PROGRAMS;

use super::cargo_output;
use super::part::{Context, Tally};
use crate::progress::Step;
use crate::tools;

pub fn run(part: &str, context: &Context, step: &Step) -> Result<Tally> {
    tools::prepare(&context.environment, part, step)?;
    let binaries = context.binaries(step)?;
    let folder = binaries.api.parent().context("a binary is in a folder")?;
    // The whole workspace is selected, as for the build: features are then resolved once.
    let mut command = cargo(&context.environment, ["test", "--workspace", "--locked", "--test", "e2e"]);
    command.args(["--", &format!("{part}::")]).env(PROGRAMS, folder);
    let finished = step.run(command)?;
    Ok(cargo_output::tally(&finished.output, finished.status.success()))
}
