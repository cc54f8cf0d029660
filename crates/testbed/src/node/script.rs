//! A script of Node whose lines are checks: `{"name", "error"?}` each, and `{"end": true}` at last.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::Node;
use crate::command::run;

/// A line of the script.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Check { name: String, error: Option<String> },
    End { end: bool },
}

/// The name of a check, and its error where it failed.
pub type Check = (String, Option<String>);

/// Runs a script with its task in an empty folder; one that ends before its last line is an error.
pub fn run_script(node: &Node, script: &Path, task: &Value) -> Result<Vec<Check>> {
    let folder = tempfile::tempdir()?;
    node.link_packages(folder.path())?;
    let name = script.file_name().context("a script is a file")?;
    fs::copy(script, folder.path().join(name)).with_context(|| format!("{} cannot be copied", script.display()))?;
    let mut command = node.command(folder.path());
    command.arg(name).arg(task.to_string());
    let finished = run(command)?;
    let (checks, ended) = read(&finished.output);
    if !ended {
        bail!("the script ended early: {}\n{}", finished.status, finished.output);
    }
    Ok(checks)
}

/// The checks of a script's output, and whether it came to its end. Other lines are warnings of Node.
fn read(output: &str) -> (Vec<Check>, bool) {
    let (mut checks, mut ended) = (Vec::new(), false);
    for line in output.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match line {
            Line::Check { name, error } => checks.push((name, error)),
            Line::End { end } => ended = end,
        }
    }
    (checks, ended)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn each_line_is_a_check_and_the_last_one_is_the_end() {
        let output = "(node:1) Warning\n{\"name\":\"a\"}\n{\"name\":\"b\",\"error\":\"no block\"}\n";
        let checks = vec![("a".to_owned(), None), ("b".to_owned(), Some("no block".to_owned()))];
        assert_eq!(read(output), (checks.clone(), false));
        assert_eq!(read(&format!("{output}{{\"end\":true}}\n")), (checks, true));
    }
}
