//! One attack: its name, what has to hold, and how it is run.

use anyhow::{Context, Result};

use super::target::Setup;
use crate::progress::Step;

/// Attackers and a victim at one Pinrail.
pub struct Attack {
    pub name: &'static str,
    /// The attack, and what has to hold meanwhile.
    pub about: &'static str,
    /// Runs it; what was seen, for people.
    pub body: fn(&Setup, &Step) -> Result<String>,
}

impl Attack {
    /// Run it in a folder of its own, which is kept and named when something did not hold.
    pub fn run(&self, setup: &Setup, step: &Step) -> Result<String> {
        let folder = tempfile::Builder::new().prefix("pinrail-abuse-").tempdir()?;
        let seen = (self.body)(&setup.in_folder(folder.path()), step);
        seen.map_err(|error| {
            let kept = folder.keep();
            error.context(format!("the logs are in {}", kept.join("data/logs").display()))
        })
        .context(self.name)
    }
}
