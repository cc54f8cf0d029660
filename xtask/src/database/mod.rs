//! The development database's migrations, by Diesel's own program.

pub mod migrate;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use pinrail_testbed::command::program;
use pinrail_testbed::environment::{Environment, root};

use crate::progress::Step;
use crate::tools::cargo_tools::DIESEL;

/// The pinned `diesel`.
pub struct Diesel(PathBuf);

impl Diesel {
    pub fn find(environment: &Environment, step: &Step) -> Result<Self> {
        DIESEL.path(environment, step).map(Self)
    }

    /// `diesel migration …` on a database.
    ///
    /// It is given no configuration: with the crate's it would rewrite schema.rs on its own.
    pub fn migration(&self, database: &Path, arguments: &[&str]) -> Command {
        let configuration = root().join("xtask/tools/diesel.toml");
        let mut command = self.command(["migration"], configuration.as_os_str(), database);
        command.args(arguments).arg("--migration-dir").arg(migrations("sqlite"));
        command
    }

    /// Print the tables of a migrated database as schema.rs.
    pub fn print_schema(&self, database: &Path) -> Command {
        let configuration = storage_crate().join("diesel.toml");
        self.command(["print-schema"], configuration.as_os_str(), database)
    }

    fn command<const N: usize>(&self, verb: [&str; N], configuration: &OsStr, database: &Path) -> Command {
        let mut command = program(&self.0, root());
        command.args(verb).arg("--config-file").arg(configuration).arg("--database-url").arg(database);
        command
    }
}

/// The crate that the migrations belong to.
pub fn storage_crate() -> PathBuf {
    root().join("crates/storage-diesel")
}

/// The migrations of a database's kind, `sqlite` or `postgres`.
pub fn migrations(kind: &str) -> PathBuf {
    storage_crate().join("migrations").join(kind)
}
