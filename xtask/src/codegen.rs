//! `cargo xtask codegen`: the files that are printed from something else, and whether they are fresh.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use pinrail_testbed::command::{program, run};
use pinrail_testbed::environment::{Environment, root};
use pinrail_testbed::programs::{self, Binaries};
use serde::de::IgnoredAny;

use crate::database::{Diesel, storage_crate};
use crate::progress::Step;

/// What opens schema.rs, as every file says what it is for.
const SCHEMA_OPENING: &str =
    "//! The tables as the migrated database has them; `cargo xtask codegen` prints this file.\n\n";

#[derive(Args)]
pub struct Options {
    /// Change nothing; fail if a file differs from what would be printed.
    #[arg(long)]
    check: bool,
}

/// A file with what it should hold.
pub struct Generated {
    path: PathBuf,
    text: String,
}

pub fn run_codegen(environment: &Environment, options: &Options) -> Result<()> {
    let step = Step::start("codegen");
    let binaries = programs::binaries(environment, &|line| step.detail(line))?;
    let files = generate(environment, &binaries, &step)?;
    if options.check {
        for file in &files {
            file.check()?;
        }
        step.done("every file is fresh");
    } else {
        for file in &files {
            file.write()?;
        }
        step.done("written");
    }
    Ok(())
}

/// Print every file.
pub fn generate(environment: &Environment, binaries: &Binaries, step: &Step) -> Result<Vec<Generated>> {
    Ok(vec![
        Generated { path: storage_crate().join("src/schema.rs"), text: schema(environment, step)? },
        Generated { path: root().join("docs/openapi.json"), text: openapi(&binaries.api)? },
    ])
}

impl Generated {
    /// The file's place in the repository.
    pub fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    /// An error that shows the first difference between the file and what would be printed.
    pub fn check(&self) -> Result<()> {
        let found = fs::read_to_string(&self.path).unwrap_or_default();
        if let Some(difference) = first_difference(&found, &self.text) {
            bail!("{} is not fresh, run `cargo xtask codegen`\n{difference}", self.name());
        }
        Ok(())
    }

    fn write(&self) -> Result<()> {
        if self.check().is_ok() {
            return Ok(());
        }
        fs::write(&self.path, &self.text).with_context(|| format!("{} cannot be written", self.name()))
    }
}

/// Migrate an empty database and print its tables.
fn schema(environment: &Environment, step: &Step) -> Result<String> {
    let diesel = Diesel::find(environment, step)?;
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("pinrail.db");
    run(diesel.migration(&database, &["run"]))?.success("diesel migration run")?;
    let printed = run(diesel.print_schema(&database))?.success("diesel print-schema")?;
    format(environment, folder.path(), &format!("{SCHEMA_OPENING}{printed}"))
}

/// As `cargo fmt` would leave it, or the two would disagree for ever.
fn format(environment: &Environment, folder: &Path, source: &str) -> Result<String> {
    let file = folder.join("schema.rs");
    fs::write(&file, source)?;
    let rustfmt = environment.find_program("rustfmt").context("`rustfmt` is not installed")?;
    let mut command = program(rustfmt, root());
    command.args(["--edition", "2024", "--config-path"]).arg(root()).arg(&file);
    run(command)?.success("rustfmt")?;
    Ok(fs::read_to_string(file)?)
}

fn openapi(api: &Path) -> Result<String> {
    let mut command = program(api, root());
    command.arg("openapi");
    let printed = run(command)?.success("pinrail-api openapi")?;
    // Kept as it is printed: a round trip would order the keys anew.
    serde_json::from_str::<IgnoredAny>(&printed).context("pinrail-api openapi printed no JSON")?;
    Ok(printed)
}

/// The first line that differs, as a person looks for it.
fn first_difference(found: &str, wanted: &str) -> Option<String> {
    if found == wanted {
        return None;
    }
    let same = found.lines().zip(wanted.lines()).take_while(|(left, right)| left == right).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(nothing)").to_owned();
    Some(format!("line {}\n- {}\n+ {}", same + 1, line(found), line(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_shows_its_first_difference() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n").unwrap(), "line 2\n- b\n+ c");
        assert_eq!(first_difference("", "a\n").unwrap(), "line 1\n- (nothing)\n+ a");
    }

    #[test]
    fn a_fresh_file_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.rs");
        let file = Generated { path: path.clone(), text: "printed\n".to_owned() };
        assert!(file.check().unwrap_err().to_string().contains("is not fresh"));
        file.write().unwrap();
        file.check().unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "printed\n");
    }
}
