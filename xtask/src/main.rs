//! Development in one program: build and run, test, generate, migrate, measure.

mod bench;
mod codegen;
mod database;
mod progress;
mod testing;
mod tidy;
mod tools;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use pinrail_testbed::environment::Environment;
use pinrail_testbed::signals;

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
    /// Install the programs of others that parts of the tests need.
    Tools(tools::Options),
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
        Task::Tools(options) => tools::run(&environment, options),
        Task::Bench(options) => bench::run_bench(&environment, options),
        Task::Codegen(options) => codegen::run_codegen(&environment, options),
        Task::Migrate(options) => database::migrate::migrate(&environment, options),
        Task::Test(options) => testing::run(&environment, options),
    }
}
