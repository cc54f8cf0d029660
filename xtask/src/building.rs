//! The two binaries, built by cargo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{Artifact, Message, TargetKind};

use crate::command::{cargo, run_each};
use crate::environment::Environment;
use crate::progress::Step;

/// The example of peers that do a node harm.
pub const HOSTILE_PEER: &str = "hostile_peer";

/// Where the built binaries are.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub api: PathBuf,
    pub worker: PathBuf,
}

/// Build the binaries alone: the quickest way to something that runs.
pub fn binaries(environment: &Environment, step: &Step) -> Result<Binaries> {
    build(environment, &["--package", "pinrail-api", "--package", "pinrail-worker"], step, |_| ())
}

/// The binaries, and the examples that measure or attack them.
#[derive(Clone, Debug)]
pub struct Programs {
    pub binaries: Binaries,
    examples: BTreeMap<String, PathBuf>,
}

/// Build everything in one go, tests and binaries: features are then resolved once for all, and
/// nothing is built twice.
pub fn workspace(environment: &Environment, step: &Step) -> Result<Programs> {
    build_programs(environment, &["--workspace", "--all-targets"], step)
}

/// Build the binaries and the peers that attack the node.
pub fn attacking(environment: &Environment, step: &Step) -> Result<Programs> {
    let packages = ["pinrail-api", "pinrail-worker", "pinrail-ipfs-embedded"];
    let mut what = vec!["--bins", "--example", HOSTILE_PEER];
    what.extend(packages.iter().flat_map(|package| ["--package", package]));
    build_programs(environment, &what, step)
}

/// Build the binaries and the examples that measure as they are released, in one go, so that nothing is built twice.
pub fn measuring(environment: &Environment, step: &Step) -> Result<Programs> {
    let packages = ["pinrail-api", "pinrail-worker", "pinrail-http", "pinrail-storage-diesel", "pinrail-ipfs-embedded"];
    let mut what = vec!["--release", "--bins", "--examples"];
    what.extend(packages.iter().flat_map(|package| ["--package", package]));
    build_programs(environment, &what, step)
}

fn build_programs(environment: &Environment, what: &[&str], step: &Step) -> Result<Programs> {
    let mut examples = BTreeMap::new();
    let binaries = build(environment, what, step, |artifact| {
        if let Some(path) = artifact.executable.as_ref().filter(|_| artifact.target.is_kind(TargetKind::Example)) {
            examples.insert(artifact.target.name.clone(), path.into());
        }
    })?;
    Ok(Programs { binaries, examples })
}

impl Programs {
    /// Those that cargo built before, in its own arrangement.
    pub fn in_folder(folder: &Path) -> Self {
        let binaries = Binaries { api: folder.join("pinrail-api"), worker: folder.join("pinrail-worker") };
        let examples = BTreeMap::from([(HOSTILE_PEER.to_owned(), folder.join("examples").join(HOSTILE_PEER))]);
        Self { binaries, examples }
    }

    /// Where an example is.
    pub fn example(&self, name: &str) -> Result<&Path> {
        Ok(self.examples.get(name).with_context(|| format!("cargo built no {name}"))?)
    }
}

fn build(environment: &Environment, what: &[&str], step: &Step, mut look: impl FnMut(&Artifact)) -> Result<Binaries> {
    let (mut api, mut worker) = (None, None);
    each_program(environment, what, step, |artifact| {
        look(artifact);
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
