//! `cargo xtask bench`: figures beside their yardsticks, as a table and as `target/bench.json`.

mod api;
mod memory;
mod storage;
mod table;
mod transfer;

use std::fs;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::command::{cargo, run};
use crate::environment::{Environment, root};
use crate::progress::Step;
use crate::{building, command};
use table::Figure;

/// A group of figures that are measured together.
struct Group {
    name: &'static str,
    measure: fn(&Environment, &Step) -> Result<Vec<Figure>>,
}

const GROUPS: &[Group] = &[
    Group { name: "storage", measure: storage::measure },
    Group { name: "api", measure: api::measure },
    Group { name: "transfer", measure: transfer::measure },
    Group { name: "memory", measure: memory::measure },
];

#[derive(Args)]
pub struct Options {
    /// Measure this group alone; may be given several times.
    #[arg(long, value_name = "GROUP")]
    only: Vec<String>,
}

pub fn run_bench(environment: &Environment, options: &Options) -> Result<()> {
    if let Some(unknown) = options.only.iter().find(|name| !GROUPS.iter().any(|group| group.name == *name)) {
        let known: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
        bail!("there is no group `{unknown}`, wanted one of {}", known.join(", "));
    }
    let mut figures = Vec::new();
    for group in GROUPS {
        if options.only.is_empty() || options.only.iter().any(|name| name == group.name) {
            let step = Step::start(group.name);
            let measured = (group.measure)(environment, &step).with_context(|| group.name)?;
            step.done(&format!("{} figures", measured.len()));
            figures.extend(measured);
        }
    }
    print!("\n{}", table::render(&figures));
    write(environment, &figures)
}

/// Run an example of a package in release, and give what it printed.
fn example(environment: &Environment, step: &Step, package: &str, name: &str, arguments: &[&str]) -> Result<String> {
    let program = building::example(environment, package, name, step)?;
    let mut command = command::program(program, root());
    command.args(arguments);
    command::run_showing(command, step)?.success(name)
}

/// A number somewhere in a JSON document.
fn number(measured: &Value, pointer: &str) -> Result<f64> {
    measured.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("nothing was measured at {pointer}"))
}

/// For programs that compare runs.
fn write(environment: &Environment, figures: &[Figure]) -> Result<()> {
    let mut command = cargo(environment, ["metadata", "--no-deps", "--format-version", "1", "--quiet"]);
    command.current_dir(root());
    let metadata: serde_json::Value = serde_json::from_str(&run(command)?.success("cargo metadata")?)?;
    let target = metadata["target_directory"].as_str().context("cargo names no target folder")?;
    let path = std::path::Path::new(target).join("bench.json");
    let text = serde_json::to_string_pretty(&json!({ "figures": figures }))?;
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    println!("\n{}", path.display());
    Ok(())
}
