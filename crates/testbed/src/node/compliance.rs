//! The official compliance suite of the Pinning Service API.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::Node;
use super::script::Check;
use crate::command::run;
use crate::environment::root;

const PACKAGE: &str = "@ipfs-shipyard/pinning-service-compliance";

/// The sums that the suite writes about a service.
#[derive(Deserialize)]
struct Score {
    total: usize,
    passed: usize,
    failed: usize,
}

/// Runs the suite against a service; the checks in the order in which it makes them.
pub fn run_compliance(node: &Node, endpoint: &str, token: &str) -> Result<Vec<Check>> {
    let folder = tempfile::tempdir()?;
    let suite = install(node, folder.path())?;
    let mut command = node.command(&suite);
    command.arg("dist/src/index.js").args(["-s", endpoint, token]);
    let output = run(command)?.output;
    // Its exit code is 0 whatever it found.
    let (score, report) = read_score(&suite.join("dist/docs")).with_context(|| output.clone())?;
    let checks = read_checks(&output);
    let failed = checks.iter().filter(|(_, error)| error.is_some()).count();
    let sums = (checks.len(), checks.len() - failed, failed);
    ensure!(sums == (score.total, score.passed, score.failed), "the sums differ: {report}\n{output}");
    Ok(checks)
}

/// The checks of the summary, each after its icon, without the values that differ from run to run.
fn read_checks(output: &str) -> Vec<Check> {
    let name = |title: &str| title.split(" '").next().and_then(|title| title.split("='").next()).map(str::to_owned);
    let check = |line: &str| match line.trim().split_once(' ') {
        Some(("\u{1f7e2}", title)) => Some((name(title)?, None)),
        Some(("\u{274c}", title)) => Some((name(title)?, Some(output.to_owned()))),
        _ => None,
    };
    let summary = output.rsplit_once("Summary (").map_or("", |(_, summary)| summary);
    summary.lines().filter_map(check).collect()
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
    fn each_line_of_the_summary_is_a_check() {
        let output = "\t\u{1f7e2} Response is ok\nSummary (1/2 successful)\n\n  \u{1f7e2} Pins post of CID 'bafk'\n\n  \u{274c} Can create a pin with name='a'\n";
        let checks = read_checks(output);
        assert_eq!(checks[0], ("Pins post of CID".to_owned(), None));
        assert_eq!(
            (checks[1].0.as_str(), checks[1].1.is_some(), checks.len()),
            ("Can create a pin with name", true, 2)
        );
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
