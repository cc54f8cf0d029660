//! Helia as a peer in both directions, and its remote pinning as a client; helia.mjs holds the checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::command::run_each;
use crate::environment::root;
use crate::instance::provider::Provider;
use crate::instance::sample;
use crate::progress::Step;
use crate::testing::fixture::Fixture;
use crate::testing::part::{Context, Part, Tally};
use crate::tools::node::Node;

pub const HELIA: Part =
    Part { name: "helia", about: "Helia as a peer in both directions, and its remote pinning as a client", run: helia };

/// A line of the script.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Check { name: String, error: Option<String> },
    End { end: bool },
}

fn helia(context: &Context, step: &Step) -> Result<Tally> {
    let node = Node::find(&context.environment, step)?;
    let fixture = Fixture::start(context, step)?;
    let folder = tempfile::tempdir()?;
    node.link_packages(folder.path())?;
    fs::copy(root().join("xtask/tools/node/helia.mjs"), folder.path().join("helia.mjs"))?;

    let paths = write_samples(&folder.path().join("samples"))?;
    let providers: Vec<Provider> =
        paths.iter().map(|path| Provider::start(&fixture.instance, path)).collect::<Result<_>>()?;
    let task = json!({
        "endpoint": fixture.instance.endpoint(),
        "token": fixture.token,
        "provided": paths.iter().zip(&providers).map(|(path, provider)| described(path, provider)).collect::<Vec<_>>(),
    });

    let mut command = node.command(folder.path());
    command.arg("helia.mjs").arg(task.to_string());
    let mut checks = Checks::default();
    let finished = run_each(command, |line| checks.take(line, step))?;
    if !checks.ended {
        bail!("the script ended early: {}\n{}", finished.status, finished.output);
    }
    Ok(checks.tally)
}

/// A folder, a file in one block, a file in several.
fn write_samples(folder: &Path) -> Result<[PathBuf; 3]> {
    let tree = folder.join("tree");
    sample::write(&tree)?;
    let small = folder.join("small.txt");
    fs::write(&small, "a file in one block\n")?;
    let large = folder.join("large.bin");
    fs::copy(tree.join(sample::LARGE), &large)?;
    Ok([tree, small, large])
}

fn described(path: &Path, provider: &Provider) -> Value {
    json!({ "path": path, "cid": provider.cid, "addresses": provider.addresses })
}

#[derive(Default)]
struct Checks {
    tally: Tally,
    ended: bool,
}

impl Checks {
    fn take(&mut self, line: &str, step: &Step) {
        match serde_json::from_str(line) {
            Ok(Line::Check { name, error }) => {
                step.detail(&name);
                self.tally.check(&name, error.map_or(Ok(()), |error| Err(anyhow!(error))));
            }
            Ok(Line::End { end }) => self.ended = end,
            // Warnings of Node.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_check_and_the_last_one_is_the_end() {
        let step = Step::silent();
        let mut checks = Checks::default();
        for line in ["(node:1) Warning", r#"{"name":"a"}"#, r#"{"name":"b","error":"no block"}"#] {
            checks.take(line, &step);
        }
        assert_eq!(checks.tally.passed, 1);
        assert_eq!(checks.tally.failed, [("b".to_owned(), "no block".to_owned())]);
        assert!(!checks.ended);
        checks.take(r#"{"end":true}"#, &step);
        assert!(checks.ended);
    }
}
