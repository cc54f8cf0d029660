//! Chromium, as the system has it.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::Result;

use super::system;
use crate::environment::Environment;
use crate::progress::Step;

/// What systems call it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Where it is; installed on Debian as root, else an error that names the package.
pub fn path(environment: &Environment, step: &Step) -> Result<PathBuf> {
    // The system's installer runs once at a time, and what it installs is looked for again behind it.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _turn = INSTALLING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match NAMES.iter().find_map(|name| environment.find_program(name)) {
        Some(found) => Ok(found),
        None => system::install(environment, "chromium", "chromium", step),
    }
}
