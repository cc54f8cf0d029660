//! The settings and commands: a flag wins over the environment, that over the file `pinrail.toml`.

mod commands;
mod file;
mod serve;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Error, FromArgMatches, Parser, ValueEnum};
use pinrail_domain::settings::{CONNECTIONS, File, Program, join_lines, parse_log, parse_number};

pub use commands::{
    AccessCommand, AccountCommand, AuditCommand, Command, DatabaseCommand, GrantArgs, KeyCommand, MigrateStep,
    MintArgs, NarrowArgs, NodeCommand, TokenCommand,
};
pub use serve::ServeArgs;

/// The HTTP service of Pinrail, and what its operator does.
#[derive(Debug, Parser)]
#[command(name = "pinrail-api", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What every command reads.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Example, from nothing to a running service:
  pinrail-api migrate
  pinrail-api account add ada
  pinrail-api access grant ada
  pinrail-api token mint ada --name laptop
  pinrail-api serve

Every setting has a flag, a variable of the environment and a key in <data-dir>/pinrail.toml; the first one of
these that is there counts. docs/operating.md lists them.";

/// Stands above them in every help, below what the command itself takes.
const HEADING: &str = "Options of every command";

/// Settings of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// The folder with the signing keys, the settings and, with SQLite, the database
    #[arg(long, help_heading = HEADING, global = true, env = "PINRAIL_DATA_DIR", value_name = "DIR", default_value = ".pinrail")]
    pub data_dir: PathBuf,
    /// The settings file [default: <data-dir>/pinrail.toml, if it is there]
    #[arg(long, help_heading = HEADING, global = true, env = "PINRAIL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database: sqlite:<path> or postgres://<user>@<host>/<database> [default: sqlite:<data-dir>/pinrail.db]
    #[arg(long, help_heading = HEADING, global = true, env = "PINRAIL_DATABASE", value_name = "URL")]
    #[arg(hide_env_values = true)]
    pub database: Option<String>,
    /// With PostgreSQL, the connections at most
    #[arg(long, help_heading = HEADING, global = true, env = "PINRAIL_DATABASE_CONNECTIONS", value_name = "N")]
    #[arg(default_value_t = 10, value_parser = parse_number::<u16>(CONNECTIONS))]
    pub database_connections: u16,
    /// What to log: error, warn, info, debug or trace, also for single modules (`info,pinrail_http=debug`) [default:
    /// info, and warn for other commands than serve]
    #[arg(long, help_heading = HEADING, global = true, env = "PINRAIL_LOG", value_name = "FILTER")]
    #[arg(value_parser = parse_log)]
    pub log: Option<String>,
    /// How to log
    #[arg(long, help_heading = HEADING, global = true, env = "PINRAIL_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

impl Common {
    /// The database's address.
    pub fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite:{}", self.data_dir.join("pinrail.db").display()))
    }

    /// The file of the database, unless it is PostgreSQL.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        self.database().strip_prefix("sqlite:").map(PathBuf::from)
    }

    /// The folder with the private signing keys.
    pub fn keys(&self) -> PathBuf {
        self.data_dir.join("keys")
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// An object in each line, for programs.
    Json,
}

/// Read the settings from `arguments`, the environment and the file; prints help and ends the process when asked to,
/// or when an argument is wrong. For `check` a file that is wrong is passed over: it says all that is wrong.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli> {
    let arguments = arguments.into_iter().collect::<Vec<_>>();
    let matches = Cli::command().try_get_matches_from(&arguments).unwrap_or_else(|problem| refuse(problem));
    let cli = Cli::from_arg_matches(&matches)?;
    match file::command(&cli.common) {
        Ok(command) => {
            let matches = command.try_get_matches_from(&arguments).unwrap_or_else(|problem| refuse(problem));
            Ok(Cli::from_arg_matches(&matches)?)
        }
        Err(_) if matches!(cli.command, Command::Check { .. }) => Ok(cli),
        Err(problem) => Err(problem),
    }
}

/// Print the help or the version that was asked for, or what is wrong in one line, and end the process.
fn refuse(mut problem: Error) -> ! {
    match problem.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            problem.exit()
        }
        _ => {
            forget_hidden(&mut problem);
            eprintln!("error: {}; --help tells more", join_lines(&problem.to_string()));
            std::process::exit(problem.exit_code())
        }
    }
}

/// A command that the help does not show is not suggested either.
fn forget_hidden(problem: &mut Error) {
    let Some(ContextValue::Strings(similar)) = problem.remove(ContextKind::SuggestedSubcommand) else { return };
    let command = Cli::command();
    let is_shown = |name: &String| command.find_subcommand(name).is_none_or(|found| !found.is_hide_set());
    let shown = similar.into_iter().filter(is_shown).collect::<Vec<_>>();
    if !shown.is_empty() {
        problem.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
    }
}

/// Everything that is wrong with the settings file and with what the environment says to `serve`.
pub fn problems(common: &Common) -> Vec<String> {
    let mut problems = match file::find(common) {
        Ok(None) => Vec::new(),
        Ok(Some((path, file))) => {
            file.problems().iter().map(|problem| format!("{}, {problem}", path.display())).collect()
        }
        Err(problem) => vec![format!("{problem:#}")],
    };
    if let Err(problem) = Cli::command().try_get_matches_from(["pinrail-api", "serve"]) {
        problems.push(format!("the environment: {}", join_lines(&problem.to_string())));
    }
    problems
}

/// The programs that allow private addresses, as far as the settings file and the environment of `serve` tell.
pub fn programs_that_allow_private(common: &Common) -> Vec<&'static str> {
    // What cannot be read is told as a problem.
    let api = || file::command(common).ok()?.try_get_matches_from(["pinrail-api", "serve"]).ok();
    let api = api().and_then(|matches| matches.subcommand_matches("serve")?.get_one::<bool>("allow_private").copied());
    let worker = |(_, file): (_, File)| file.values(Some(Program::Worker), "allow-private") == ["true"];
    let worker = file::find(common).ok().flatten().is_some_and(worker);
    let programs = [("pinrail-api", api.unwrap_or(false)), ("pinrail-worker", worker)];
    programs.into_iter().filter(|(_, is_on)| *is_on).map(|(program, _)| program).collect()
}
