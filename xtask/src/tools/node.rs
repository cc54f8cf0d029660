//! Node and the packages of `xtask/tools/node`: Helia, its remote pinning, the compliance suite.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pinrail_testbed::cache;
use pinrail_testbed::command::program;
use pinrail_testbed::environment::Environment;
use pinrail_testbed::node;

use super::system;
use crate::progress::Step;

/// Install the packages of the lock file, unless they are installed.
pub fn install(environment: &Environment, step: &Step) -> Result<()> {
    let key = cache::key_of(&node::inputs())?;
    cache::folder(environment, node::NAME, &key, |draft| make(environment, draft, step)).map(drop)
}

fn make(environment: &Environment, draft: &Path, step: &Step) -> Result<()> {
    let npm = match environment.find_program("npm") {
        Some(npm) => npm,
        None => system::install(environment, "npm", "npm", step)?,
    };
    for input in node::inputs() {
        fs::copy(&input, draft.join(input.file_name().context("an input is a file")?))?;
    }
    step.detail("npm ci");
    let mut command = program(npm, draft);
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    step.run(command)?.success("npm ci")?;
    Ok(())
}
