//! The programs of others, as `cargo xtask tools` has installed them.

use std::path::PathBuf;

use anyhow::{Error, Result, anyhow};

use crate::environment::Environment;

/// The names that systems give Chromium.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Returns the path of Chromium.
pub fn chromium(environment: &Environment) -> Result<PathBuf> {
    CHROMIUM.iter().find_map(|name| environment.find_program(name)).ok_or_else(|| missing("Chromium", "docs"))
}

/// Returns the path of SQLite's shell.
pub fn sqlite_shell(environment: &Environment) -> Result<PathBuf> {
    environment.find_program("sqlite3").ok_or_else(|| missing("sqlite3", "chaos"))
}

/// Returns an error that names the command which installs a program for a part of the tests.
pub fn missing(program: &str, part: &str) -> Error {
    anyhow!("{program} is not installed, `cargo xtask tools {part}` installs it")
}
