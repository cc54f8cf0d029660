//! The two binaries, built by cargo.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::{Artifact, Message, TargetKind};

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

/// Build the binaries as they are released, to measure them.
pub fn released(environment: &Environment, step: &Step) -> Result<Binaries> {
    build(environment, &["--release", "--package", "pinrail-api", "--package", "pinrail-worker"], step)
}

/// Build an example of a package as it would be released; where it is.
pub fn example(environment: &Environment, package: &str, name: &str, step: &Step) -> Result<PathBuf> {
    let what = ["--release", "--package", package, "--example", name];
    let mut path = None;
    each_program(environment, &what, step, |artifact| {
        if artifact.target.name == name && artifact.target.is_kind(TargetKind::Example) {
            path.clone_from(&artifact.executable);
        }
    })?;
    Ok(path.with_context(|| format!("cargo built no {name}"))?.into())
}

fn build(environment: &Environment, what: &[&str], step: &Step) -> Result<Binaries> {
    let (mut api, mut worker) = (None, None);
    each_program(environment, what, step, |artifact| {
        let binary = !artifact.profile.test && artifact.target.is_kind(TargetKind::Bin);
        match artifact.target.name.as_str() {
            "pinrail-api" if binary => api.clone_from(&artifact.executable),
            "pinrail-worker" if binary => worker.clone_from(&artifact.executable),
            _ => {}
        }
    })?;
    Ok(Binaries {
        api: api.context("cargo built no pinrail-api")?.into(),
        worker: worker.context("cargo built no pinrail-worker")?.into(),
    })
}

/// Have cargo build something, and look at each artifact.
fn each_program(environment: &Environment, what: &[&str], step: &Step, mut look: impl FnMut(&Artifact)) -> Result<()> {
    let mut command = cargo(environment, ["build", "--locked"]);
    command.args(what).arg("--message-format=json-render-diagnostics");
    let mut told = String::new();
    let finished = run_each(command, |line| match serde_json::from_str::<Message>(line) {
        Ok(Message::CompilerArtifact(artifact)) => look(&artifact),
        Ok(_) => {}
        Err(_) => {
            step.detail(line);
            told.push_str(line);
            told.push('\n');
        }
    })?;
    // The messages for programs stay out of what a person reads.
    crate::command::Finished { output: told, ..finished }.success("cargo build")?;
    Ok(())
}
