//! pinrail-api: the HTTP service, and the operator's commands.

mod commands;
mod data_folder;
mod database;
mod keys;
mod log;
mod reserve;
mod serve;
mod settings;
mod system;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::CommandFactory;
use commands::{access, account, audit, backup, check, key, migrate, node, restore, token};
use keys::KeyFolder;
use pinrail_storage::Storage;
use settings::{Cli, Command, Common, TokenCommand};

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
    let serves = matches!(command, Command::Serve(_));
    data_folder::keep_files_private();
    if command.uses_data_folder() {
        data_folder::check_owner(&common)?;
    }
    if !serves {
        // A reader that has seen enough, as `head` has, ends a command quietly.
        sigpipe::reset();
    }
    log::start(&common, if serves { "info" } else { "warn" })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    let outcome = runtime.block_on(dispatch(command, &common));
    // A call that hangs must not hold up the end.
    runtime.shutdown_timeout(LAST_CALLS);
    outcome
}

async fn dispatch(command: Command, common: &Common) -> Result<()> {
    let keys = KeyFolder::new(common.keys());
    match command {
        Command::Serve(settings) => serve::serve(common, &settings).await,
        Command::Migrate { step } => migrate::run(step, common).await,
        Command::Check { json } => check::run(common, json).await,
        Command::Database(command) => commands::database::run(command, common).await,
        Command::Backup { to } => backup::run(&to, common, &keys).await,
        Command::Restore { from } => restore::run(&from, common, &keys).await,
        Command::Account(command) => on_database(common, async |it| account::run(command, it).await).await,
        Command::Access(command) => on_database(common, async |it| access::run(command, it).await).await,
        Command::Audit(command) => on_database(common, async |it| audit::run(command, it).await).await,
        Command::Key(command) => on_database(common, async |it| key::run(command, it, &keys).await).await,
        Command::Node(command) => on_database(common, async |it| node::run(command, it).await).await,
        Command::Token(TokenCommand::Mint(asked)) => {
            on_database(common, async |it| token::mint_token(asked, it, &keys).await).await
        }
        Command::Token(TokenCommand::List { account, json }) => {
            on_database(common, async |it| token::list_tokens(&account, json, it).await).await
        }
        Command::Token(TokenCommand::Revoke { token, block }) => {
            on_database(common, async |it| token::revoke(&token, block.as_deref(), it).await).await
        }
        Command::Token(TokenCommand::Attenuate(asked)) => token::narrow(asked),
        Command::Token(TokenCommand::Inspect { token, json }) => token::inspect_token(&token, json),
        Command::Openapi => {
            println!("{}", pinrail_http::openapi().to_pretty_json()?);
            Ok(())
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pinrail-api", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Run a command on the database, and close that: what was written is then in its own file, and no other is left.
async fn on_database(common: &Common, command: impl AsyncFnOnce(&dyn Storage) -> Result<()>) -> Result<()> {
    let storage = database::open(common, Duration::ZERO).await?;
    let outcome = command(storage.as_ref()).await;
    storage.close().await;
    outcome
}
