//! `cargo xtask bench`: figures beside their yardsticks, as a table and as `target/bench.json`.

mod api;
mod fairness;
mod memory;
mod server;
mod storage;
mod store;
mod table;
mod transfer;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use pinrail_testbed::command;
use pinrail_testbed::command::{cargo, run};
use pinrail_testbed::environment::{Environment, root};
use pinrail_testbed::programs::{self, Programs};
use pinrail_testbed::stopwatch::Stopwatch;
use serde_json::{Value, json};

use crate::progress::Step;
use server::Server;
use table::{Figure, Measured, Other};

/// What a group is measured with.
struct Bench<'a> {
    step: &'a Step,
    programs: &'a Programs,
    /// The PostgreSQL server, for a group that is measured on one.
    server: Option<&'a Server>,
}

/// A group of figures that are measured together.
struct Group {
    name: &'static str,
    on_postgres: bool,
    measure: fn(&Bench) -> Result<Vec<Figure>>,
}

const fn group(name: &'static str, measure: fn(&Bench) -> Result<Vec<Figure>>) -> Group {
    Group { name, on_postgres: false, measure }
}

const fn on_postgres(name: &'static str, measure: fn(&Bench) -> Result<Vec<Figure>>) -> Group {
    Group { name, on_postgres: true, measure }
}

/// What is measured when nothing is named.
const USUAL: &[Group] = &[
    group("storage", storage::measure),
    on_postgres("postgres", storage::measure),
    group("api", api::measure),
    on_postgres("api-postgres", api::measure),
    group("fairness", fairness::measure),
    on_postgres("fairness-postgres", fairness::measure),
    group("transfer", transfer::measure),
    group("store", store::measure),
    group("memory", memory::measure),
];

/// What takes long and much room, and is measured only when it is named.
const LARGE: &[Group] = &[group("big", storage::measure_big), on_postgres("big-postgres", storage::measure_big)];

#[derive(Args)]
pub struct Options {
    /// What to measure (without it everything but the two last): storage, postgres, api, api-postgres, fairness,
    /// fairness-postgres, transfer, store, memory, big, big-postgres.
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,

    /// Measure on this PostgreSQL server, beside whose database others are made and removed; without it on a server
    /// that is started for the run.
    #[arg(long, value_name = "URL")]
    database: Option<String>,

    /// Show each figure with its share of another build's: the `bench.json` that this wrote for that build.
    #[arg(long, value_name = "FILE")]
    beside: Option<PathBuf>,
}

pub fn run_bench(environment: &Environment, options: &Options) -> Result<()> {
    let chosen = choose(&options.groups)?;
    let other = options.beside.as_deref().map_or_else(|| Ok(Other::default()), read_other)?;
    let step = Step::start("build");
    let programs = programs::measuring(environment, &|line| step.detail(line))?;
    step.done("what measures, and what is measured");
    let mut server = None;
    let mut measured = Vec::new();
    for group in chosen {
        let step = Step::start(group.name);
        if group.on_postgres && server.is_none() {
            server = Some(Server::find(environment, options.database.as_deref(), &step)?);
        }
        let watch = Stopwatch::start();
        let bench = Bench { step: &step, programs: &programs, server: server.as_ref().filter(|_| group.on_postgres) };
        let figures = (group.measure)(&bench).with_context(|| group.name)?;
        step.done(&format!("{} figures", figures.len()));
        measured.push(Measured { group: group.name, seconds: watch.elapsed().as_secs_f64(), figures });
    }
    print!("\n{}", table::render(&measured, &other));
    write(environment, &measured)
}

fn read_other(path: &Path) -> Result<Other> {
    let read = || Other::read(&serde_json::from_str(&fs::read_to_string(path)?)?);
    read().with_context(|| format!("{} is no bench.json", path.display()))
}

/// The groups with these names, in the order of measuring.
fn choose(names: &[String]) -> Result<Vec<&'static Group>> {
    let all = || USUAL.iter().chain(LARGE);
    if let Some(unknown) = names.iter().find(|name| !all().any(|group| group.name == *name)) {
        let known: Vec<&str> = all().map(|group| group.name).collect();
        bail!("there is no group `{unknown}`, wanted one of {}", known.join(", "));
    }
    if names.is_empty() {
        return Ok(USUAL.iter().collect());
    }
    Ok(all().filter(|group| names.iter().any(|name| name == group.name)).collect())
}

impl Bench<'_> {
    /// Run an example that measures, and give what it printed.
    fn example(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = command::program(self.programs.example(name)?, root());
        command.args(arguments);
        let show = |line: &str| {
            // What it measured is for us.
            if !line.starts_with('{') {
                self.step.detail(line);
            }
        };
        command::run_each(command, show)?.success(&format!("{name} {}", arguments.join(" ")))
    }
}

/// The line of JSON that a program printed last.
fn document(output: &str) -> Result<Value> {
    let line = output.lines().rfind(|line| line.starts_with('{')).context("no JSON was printed")?;
    Ok(serde_json::from_str(line)?)
}

/// A number somewhere in a JSON document.
fn number(measured: &Value, pointer: &str) -> Result<f64> {
    measured.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("nothing was measured at {pointer}"))
}

/// For programs that compare runs.
fn write(environment: &Environment, measured: &[Measured]) -> Result<()> {
    let mut command = cargo(environment, ["metadata", "--no-deps", "--format-version", "1", "--quiet"]);
    command.current_dir(root());
    let metadata: Value = serde_json::from_str(&run(command)?.success("cargo metadata")?)?;
    let target = metadata["target_directory"].as_str().context("cargo names no target folder")?;
    let path = Path::new(target).join("bench.json");
    let text = serde_json::to_string_pretty(&json!({ "groups": measured }))?;
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    println!("\n{}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_measured_only_when_it_is_named() {
        let names = |chosen: Vec<&Group>| chosen.iter().map(|group| group.name).collect::<Vec<_>>();
        assert_eq!(names(choose(&[]).unwrap()).len(), USUAL.len());
        assert_eq!(names(choose(&["big".to_owned(), "store".to_owned()]).unwrap()), ["store", "big"]);
        let error = choose(&["bigger".to_owned()]).err().unwrap().to_string();
        assert!(error.starts_with("there is no group `bigger`, wanted one of storage, "), "{error}");
    }
}
