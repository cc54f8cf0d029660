//! The settings and commands: a flag wins over the environment, that over the file `pinrail.toml`.

mod commands;
mod file;
mod refusal;
mod serve;
#[cfg(test)]
mod tests;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use pinrail_domain::settings::{Wrong, check_log};

pub use commands::{
    AccessCommand, AccountCommand, AuditCommand, Command, DatabaseCommand, GrantArgs, KeyCommand, MigrateStep,
    MintArgs, NarrowArgs, NodeCommand, TokenCommand,
};
pub use serve::ServeArgs;

/// The section of the file that is read besides its top level, and the command that it is for.
const SECTION: (&str, &str) = ("api", "serve");

/// The section of the file that the other program reads.
const FOREIGN: &str = "worker";

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
    #[arg(default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    pub database_connections: u16,
    /// What to log: error, warn, info, debug or trace, also for single modules (`info,pinrail_http=debug`) [default:
    /// info, and warn for other commands than serve]
    #[arg(long, help_heading = HEADING, global = true, env = "PINRAIL_LOG", value_name = "FILTER")]
    #[arg(value_parser = log_filter)]
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

fn log_filter(text: &str) -> Result<String, Wrong> {
    check_log(text).map(|()| text.to_owned())
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
    let mut arguments = arguments.into_iter().collect::<Vec<_>>();
    let matches = Cli::command().try_get_matches_from(&arguments);
    let matches = matches.unwrap_or_else(|problem| refusal::tell(problem, &Cli::command()));
    let cli = Cli::from_arg_matches(&matches)?;
    match add_file(&cli.common, &mut arguments, &matches) {
        Ok(matches) => Ok(Cli::from_arg_matches(&matches)?),
        Err(_) if matches!(cli.command, Command::Check { .. }) => Ok(cli),
        Err(problem) => Err(problem),
    }
}

fn add_file(common: &Common, arguments: &mut Vec<OsString>, matches: &ArgMatches) -> Result<ArgMatches> {
    let Some(file) = file::find(common)? else { return Ok(matches.clone()) };
    file.add_to(arguments, matches)?;
    // The arguments alone were right, so it is the file.
    let read = Cli::command().try_get_matches_from(&*arguments);
    read.map_err(|problem| file.wrong(&refusal::in_one_line(&problem)))
}

/// Everything that is wrong with the settings file and with what the environment says to `serve`.
pub fn problems(common: &Common) -> Vec<String> {
    let mut problems = match file::find(common) {
        Ok(file) => file.map(|file| file.problems()).unwrap_or_default(),
        Err(problem) => vec![format!("{problem:#}")],
    };
    if let Err(problem) = Cli::command().try_get_matches_from(["pinrail-api", SECTION.1]) {
        problems.push(format!("the environment: {}", refusal::in_one_line(&problem)));
    }
    problems
}

/// The programs that allow private addresses, as far as the settings file and the environment of `serve` tell.
pub fn programs_that_allow_private(common: &Common) -> Vec<&'static str> {
    let serve = ["pinrail-api", SECTION.1].map(OsString::from);
    let own = || -> Result<bool> {
        let mut arguments = serve.to_vec();
        let matches = add_file(common, &mut arguments, &Cli::command().try_get_matches_from(&serve)?)?;
        let serve = matches.subcommand_matches(SECTION.1);
        Ok(serve.and_then(|serve| serve.get_one("allow_private")).is_some_and(|is_on| *is_on))
    };
    let workers = file::find(common).ok().flatten().is_some_and(|file| file.lets_worker_dial_private());
    // What cannot be read is told as a problem.
    let programs = [("pinrail-api", own().unwrap_or(false)), ("pinrail-worker", workers)];
    programs.into_iter().filter(|(_, is_on)| *is_on).map(|(program, _)| program).collect()
}
