//! The two binaries, built by cargo.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::{Message, TargetKind};

use crate::command::{cargo, run_each};
use crate::environment::Environment;
use crate::progress::Step;

/// Where the built binaries are.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub api: PathBuf,
    pub worker: PathBuf,
}

/// Build the binaries alone: the quickest way to something that runs.
pub fn binaries(environment: &Environment, step: &Step) -> Result<Binaries> {
    build(environment, &["--package", "pinrail-api", "--package", "pinrail-worker"], step)
}

/// Build everything in one go, tests and binaries: features are then resolved once for all, and
/// nothing is built twice.
pub fn workspace(environment: &Environment, step: &Step) -> Result<Binaries> {
    build(environment, &["--workspace", "--all-targets"], step)
}

fn build(environment: &Environment, what: &[&str], step: &Step) -> Result<Binaries> {
    let mut command = cargo(environment, ["build", "--locked"]);
    command.args(what).arg("--message-format=json-render-diagnostics");
    let (mut api, mut worker) = (None, None);
    let mut told = String::new();
    let finished = run_each(command, |line| match serde_json::from_str::<Message>(line) {
        Ok(Message::CompilerArtifact(artifact)) => {
            let binary = !artifact.profile.test && artifact.target.is_kind(TargetKind::Bin);
            match artifact.target.name.as_str() {
                "pinrail-api" if binary => api = artifact.executable,
                "pinrail-worker" if binary => worker = artifact.executable,
                _ => {}
            }
        }
        Ok(_) => {}
        Err(_) => {
            step.detail(line);
            told.push_str(line);
            told.push('\n');
        }
    })?;
    // The messages for programs stay out of what a person reads.
    crate::command::Finished { output: told, ..finished }.success("cargo build")?;
    Ok(Binaries {
        api: api.context("cargo built no pinrail-api")?.into(),
        worker: worker.context("cargo built no pinrail-worker")?.into(),
    })
}
