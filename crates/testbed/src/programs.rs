//! The two binaries and the examples beside them, built by cargo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use cargo_metadata::{Artifact, Message, TargetKind};

use crate::command::{cargo, run_each};
use crate::environment::Environment;

/// The example of peers that do a node harm.
pub const HOSTILE_PEER: &str = "hostile_peer";

/// The paths of the built binaries.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `pinrail-api`.
    pub api: PathBuf,
    /// `pinrail-worker`.
    pub worker: PathBuf,
}

/// A listener to cargo's progress, line by line.
pub type Show<'a> = &'a dyn Fn(&str);

/// Builds the binaries alone: the quickest way to something that runs.
pub fn binaries(environment: &Environment, show: Show) -> Result<Binaries> {
    build(environment, &["--package", "pinrail-api", "--package", "pinrail-worker"], show, |_| ())
}

/// The binaries, and the examples that measure or attack them.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The two that are released.
    pub binaries: Binaries,
    examples: BTreeMap<String, PathBuf>,
}

/// Builds the binaries and the peers that attack the node, out of the whole workspace: features are then resolved as
/// for the tests, and nothing is built twice.
pub fn workspace(environment: &Environment, show: Show) -> Result<Programs> {
    build_programs(environment, &["--workspace", "--bins", "--example", HOSTILE_PEER], show)
}

/// Returns the programs that tests run: those in the folder that the environment names, or built once for a process.
pub fn for_tests() -> Result<&'static Programs> {
    static BUILT: OnceLock<Result<Programs, String>> = OnceLock::new();
    let find = || {
        let environment = Environment::read();
        if let Some(folder) = &environment.programs {
            return Ok(Programs::in_folder(folder));
        }
        workspace(&environment, &|_| ()).map_err(|error| format!("{error:#}"))
    };
    BUILT.get_or_init(find).as_ref().map_err(|error| anyhow!("{error}"))
}

/// Builds the binaries and the examples that measure as they are released, in one go, so that nothing is built twice.
pub fn measuring(environment: &Environment, show: Show) -> Result<Programs> {
    let measured = ["pinrail-http", "pinrail-storage-diesel", "pinrail-block-store", "pinrail-ipfs-embedded"];
    let packages = ["pinrail-api", "pinrail-worker"].into_iter().chain(measured);
    let mut what = vec!["--release", "--bins", "--examples"];
    what.extend(packages.flat_map(|package| ["--package", package]));
    build_programs(environment, &what, show)
}

fn build_programs(environment: &Environment, what: &[&str], show: Show) -> Result<Programs> {
    let mut examples = BTreeMap::new();
    let binaries = build(environment, what, show, |artifact| {
        if let Some(path) = artifact.executable.as_ref().filter(|_| artifact.target.is_kind(TargetKind::Example)) {
            examples.insert(artifact.target.name.clone(), path.into());
        }
    })?;
    Ok(Programs { binaries, examples })
}

impl Programs {
    /// Returns those that cargo built before, in its own arrangement.
    pub fn in_folder(folder: &Path) -> Self {
        let binaries = Binaries { api: folder.join("pinrail-api"), worker: folder.join("pinrail-worker") };
        let examples = BTreeMap::from([(HOSTILE_PEER.to_owned(), folder.join("examples").join(HOSTILE_PEER))]);
        Self { binaries, examples }
    }

    /// Returns the path of an example.
    pub fn example(&self, name: &str) -> Result<&Path> {
        Ok(self.examples.get(name).with_context(|| format!("cargo built no {name}"))?)
    }
}

fn build(environment: &Environment, what: &[&str], show: Show, mut look: impl FnMut(&Artifact)) -> Result<Binaries> {
    let (mut api, mut worker) = (None, None);
    each_program(environment, what, show, |artifact| {
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

/// Has cargo build something, and looks at each artifact.
fn each_program(environment: &Environment, what: &[&str], show: Show, mut look: impl FnMut(&Artifact)) -> Result<()> {
    let mut command = cargo(environment, ["build", "--locked"]);
    command.args(what).arg("--message-format=json-render-diagnostics");
    let mut told = String::new();
    let finished = run_each(command, |line| match serde_json::from_str::<Message>(line) {
        Ok(Message::CompilerArtifact(artifact)) => look(&artifact),
        Ok(_) => {}
        Err(_) => {
            show(line);
            told.push_str(line);
            told.push('\n');
        }
    })?;
    // The messages for programs stay out of what a person reads.
    crate::command::Finished { output: told, ..finished }.success("cargo build")?;
    Ok(())
}
