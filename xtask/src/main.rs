//! Development in one program: build and run, test, generate, migrate, measure.

mod abuse;
mod bench;
mod building;
mod cache;
mod chaos;
mod child;
mod codegen;
mod command;
mod database;
mod environment;
mod instance;
mod progress;
mod resident;
mod signals;
mod stopwatch;
mod testing;
mod tidy;
mod tools;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::environment::Environment;

#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run a Pinrail on this machine, with a sample pinned and served.
    Up(up::Options),
    /// Check the arrows between the crates, where packages may be used, and what every file says.
    Tidy,
    /// Run every part that has to hold, and set up what they need.
    Test(testing::Options),
    /// Kill, pause and cut off what runs while clients work, and see that nothing is lost.
    Chaos(chaos::Options),
    /// Attack what runs, and see that it goes on for everybody else and stays small.
    Abuse(abuse::Options),
    /// Measure, and print each figure beside its yardstick.
    Bench(bench::Options),
    /// Print schema.rs from the migrated database, and the OpenAPI document from the code.
    Codegen(codegen::Options),
    /// Run, list, add and revert migrations on a development database.
    Migrate(database::migrate::Options),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    signals::listen()?;
    let environment = Environment::read();
    match &arguments.task {
        Task::Up(options) => up::run(&environment, options),
        Task::Tidy => tidy::run(&environment),
        Task::Chaos(options) => chaos::run(&environment, options),
        Task::Abuse(options) => abuse::run(&environment, options),
        Task::Bench(options) => bench::run_bench(&environment, options),
        Task::Codegen(options) => codegen::run_codegen(&environment, options),
        Task::Migrate(options) => database::migrate::migrate(&environment, options),
        Task::Test(options) => testing::run(&environment, options),
    }
}
