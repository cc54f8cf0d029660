//! The crates of the workspace and all that they are built from, as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, PackageId};
use pinrail_testbed::command::{cargo, run};
use pinrail_testbed::environment::Environment;

/// A crate of the workspace.
#[derive(Debug, Default)]
pub struct Member {
    /// What it is built from.
    pub normal: BTreeSet<String>,
    /// What only its tests, examples and build script are built from.
    pub other: BTreeSet<String>,
    /// Everything that it pulls in, directly or not, not counting tests.
    pub closure: BTreeSet<String>,
}

/// The dependencies of the workspace with all features on.
#[derive(Debug, Default)]
pub struct Graph {
    pub members: BTreeMap<String, Member>,
    /// Every package that any target on any system needs.
    pub packages: BTreeSet<String>,
}

impl Graph {
    pub fn read(environment: &Environment) -> Result<Self> {
        let mut command = cargo(environment, ["metadata", "--all-features", "--locked"]);
        command.args(["--format-version", "1", "--quiet"]);
        let output = run(command)?.success("cargo metadata")?;
        // Warnings come before the document, which is one line.
        let document = output.lines().find(|line| line.starts_with('{'));
        let metadata = document.context("cargo metadata printed no document")?;
        Ok(Self::from(&serde_json::from_str::<Metadata>(metadata)?))
    }
}

impl From<&Metadata> for Graph {
    fn from(metadata: &Metadata) -> Self {
        let mut graph = Self {
            packages: metadata.packages.iter().map(|package| package.name.to_string()).collect(),
            ..Self::default()
        };
        for package in metadata.workspace_packages() {
            let mut member = Member { closure: closure(metadata, &package.id), ..Member::default() };
            for dependency in &package.dependencies {
                let kind = match dependency.kind {
                    DependencyKind::Normal => &mut member.normal,
                    _ => &mut member.other,
                };
                kind.insert(dependency.name.clone());
            }
            graph.members.insert(package.name.to_string(), member);
        }
        graph
    }
}

fn closure(metadata: &Metadata, start: &PackageId) -> BTreeSet<String> {
    let nodes: BTreeMap<_, _> =
        metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).map(|node| (&node.id, node)).collect();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(node) = waiting.pop().and_then(|id| nodes.get(id)) {
        for dependency in &node.deps {
            let built_in = dependency.dep_kinds.iter().any(|info| info.kind == DependencyKind::Normal);
            if built_in && seen.insert(&dependency.pkg) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    seen.into_iter().map(|id| metadata[id].name.to_string()).collect()
}
