//! pinrail-worker: takes due roots, has an IPFS backend pin them, settles the outcome.

mod check;
mod database;
mod fetch;
mod folder;
mod health;
mod log;
mod metrics;
mod node_metrics;
mod provide;
mod routing;
mod run;
mod scratch;
mod serve;
mod settings;
mod system;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::CommandFactory;
use settings::{Cli, Command, Common};

/// How long calls that were begun may take when the program ends.
const LAST_CALLS: Duration = Duration::from_secs(2);

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
    let outcome = runtime.block_on(dispatch(command, &common));
    // A call that hangs must not hold up the end.
    runtime.shutdown_timeout(LAST_CALLS);
    outcome
}

async fn dispatch(command: Command, common: &Common) -> Result<()> {
    match command {
        Command::Serve(settings) => serve::serve(common, &settings).await,
        Command::Provide(asked) => provide::provide(common, &asked).await,
        Command::Fetch(asked) => fetch::fetch(common, &asked).await,
        Command::Check(asked) => check::check(common, &asked).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pinrail-worker", &mut std::io::stdout());
            Ok(())
        }
    }
}
