//! The official compliance suite of the Pinning Service API: nine checks of nine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::command::run_showing;
use crate::environment::root;
use crate::progress::Step;
use crate::testing::fixture::Fixture;
use crate::testing::part::{Context, Part, Tally};
use crate::tools::node::Node;

pub const COMPLIANCE: Part =
    Part { name: "compliance", about: "the official compliance suite, 9 of 9", run: compliance };

const PACKAGE: &str = "@ipfs-shipyard/pinning-service-compliance";
const CHECKS: usize = 9;

/// What the suite writes about a service.
#[derive(Deserialize)]
struct Score {
    total: usize,
    passed: usize,
    failed: usize,
}

fn compliance(context: &Context, step: &Step) -> Result<Tally> {
    let node = Node::find(&context.environment, step)?;
    let fixture = Fixture::start(context, step)?;
    let folder = tempfile::tempdir()?;
    let suite = install(&node, folder.path())?;
    let mut command = node.command(&suite);
    command.arg("dist/src/index.js").args(["-s", &fixture.instance.endpoint(), &fixture.token]);
    let finished = run_showing(command, step)?;
    // Its exit code is 0 whatever it found.
    let (score, report) = read_score(&suite.join("dist/docs")).with_context(|| finished.output.clone())?;
    let mut tally = Tally { passed: score.passed, ..Tally::default() };
    let whole = score.total == CHECKS && score.passed == CHECKS && score.failed == 0;
    if !whole {
        let what = format!("{} of {CHECKS}", score.passed);
        tally.failed.push((what, format!("{report}\n{}", finished.output)));
    }
    Ok(tally)
}

/// A copy of the suite that reads the official document from the repository, not from the network.
fn install(node: &Node, folder: &Path) -> Result<PathBuf> {
    node.link_packages(folder)?;
    let suite = folder.join("suite");
    copy(&node.package(PACKAGE), &suite)?;
    let constants = suite.join("dist/src/utils/constants.js");
    let text = fs::read_to_string(&constants)?;
    let document = root().join("docs/ipfs-pinning-service-v1.0.0.yaml");
    fs::write(&constants, with_document(&text, &document)?)?;
    Ok(suite)
}

fn with_document(constants: &str, document: &Path) -> Result<String> {
    let mut found = false;
    let lines: Vec<String> = constants
        .lines()
        .map(|line| {
            if !line.starts_with("const specLocation = ") {
                return line.to_owned();
            }
            found = true;
            format!("const specLocation = {};", Value::from(document.to_string_lossy()))
        })
        .collect();
    ensure!(found, "the suite has no specLocation any more");
    Ok(lines.join("\n"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The score and the whole report of the one service that was checked.
fn read_score(folder: &Path) -> Result<(Score, Value)> {
    for entry in fs::read_dir(folder).context("the suite wrote no report")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let report: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
            if let Ok(score) = serde_json::from_value(report.clone()) {
                return Ok((score, report));
            }
        }
    }
    bail!("the suite wrote no report")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_comes_from_the_repository() {
        let constants = "const a = 1;\nconst specLocation = `https://elsewhere/${file}`;\n";
        let patched = with_document(constants, Path::new("/it.yaml")).unwrap();
        assert_eq!(patched, "const a = 1;\nconst specLocation = \"/it.yaml\";");
        assert!(with_document("const b = 2;\n", Path::new("/it.yaml")).is_err());
    }

    #[test]
    fn a_report_without_a_score_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("headers.json"), "{}").unwrap();
        assert!(read_score(folder.path()).is_err());
        fs::write(folder.path().join("host.json"), r#"{"total":9,"passed":8,"failed":1}"#).unwrap();
        assert_eq!(read_score(folder.path()).unwrap().0.passed, 8);
    }
}
