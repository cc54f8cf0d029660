//! pinrail-worker: takes due roots, has an IPFS backend pin them, settles the outcome.

mod database;
mod fetch;
mod folder;
mod health;
mod log;
mod provide;
mod run;
mod serve;
mod settings;
mod system;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use settings::{Cli, Command};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Cli { common, command } = settings::read(std::env::args_os())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    match command {
        Command::Serve(settings) => runtime.block_on(serve::serve(&common, &settings)),
        Command::Provide(asked) => runtime.block_on(provide::provide(&common, &asked)),
        Command::Fetch(asked) => runtime.block_on(fetch::fetch(&common, &asked)),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "pinrail-worker", &mut std::io::stdout());
            Ok(())
        }
    }
}
