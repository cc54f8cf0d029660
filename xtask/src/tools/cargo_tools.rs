//! Programs that cargo installs: built once for each version.

use std::path::{Path, PathBuf};

use anyhow::Result;
use pinrail_testbed::cache;
use pinrail_testbed::command::cargo;
use pinrail_testbed::environment::Environment;

use crate::progress::Step;

/// A program from the registry of crates.
pub struct CargoTool {
    package: &'static str,
    version: &'static str,
    program: &'static str,
    features: &'static [&'static str],
}

/// Judges licences, sources and banned packages.
pub const CARGO_DENY: CargoTool =
    CargoTool { package: "cargo-deny", version: "0.20.2", program: "cargo-deny", features: &[] };

/// Prints schema.rs; with its own SQLite, as the binaries have theirs.
pub const DIESEL: CargoTool = CargoTool {
    package: "diesel_cli",
    version: "2.3.14",
    program: "diesel",
    features: &["--no-default-features", "--features", "sqlite-bundled"],
};

impl CargoTool {
    /// The program's path; the first call on a machine builds it.
    pub fn path(&self, environment: &Environment, step: &Step) -> Result<PathBuf> {
        let folder =
            cache::folder(environment, self.package, self.version, |draft| self.install(environment, draft, step))?;
        Ok(folder.join("bin").join(self.program))
    }

    /// Unoptimised: it runs for seconds, and an optimised build takes three times as long.
    fn install(&self, environment: &Environment, draft: &Path, step: &Step) -> Result<()> {
        let build = tempfile::tempdir()?;
        let mut command = cargo(environment, ["install", "--locked", "--debug"]);
        command
            .args([self.package, "--version", self.version])
            .args(self.features)
            .arg("--root")
            .arg(draft)
            .arg("--target-dir")
            .arg(build.path())
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        step.run(command)?.success(&format!("cargo install {}", self.package))?;
        Ok(())
    }
}
