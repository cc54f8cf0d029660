//! The settings: a flag wins over the environment, that over the file `pinrail.toml`.

mod file;
mod serve;
#[cfg(test)]
mod tests;
mod tools;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Error, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use pinrail_domain::settings::{CONNECTIONS, join_lines, parse_log, parse_number};

pub use serve::ServeArgs;
pub use tools::{CheckArgs, FetchArgs, ProvideArgs};

/// Fetches what is to be pinned into an IPFS node of its own, keeps it and serves it.
#[derive(Debug, Parser)]
#[command(name = "pinrail-worker", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What every command reads.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  pinrail-worker serve
  pinrail-worker provide ./photos
  pinrail-worker fetch bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy --output photo.jpg

Every setting has a flag, a variable of the environment and a key in <data-dir>/pinrail.toml; the first one of
these that is there counts. docs/operating.md lists them.";

/// Stands above them in every help, below what the command itself takes.
const HEADING: &str = "Options of every command";

/// Settings of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// The folder with the node's key and blocks, the settings and, with SQLite, the database
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
    /// What to log: error, warn, info, debug or trace, also for single modules (`info,libp2p=debug`) [default: info,
    /// and warn for other commands than serve]
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
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// An object in each line, for programs.
    Json,
}

/// What the worker can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take due roots, fetch them, keep them and serve them, until it is told to stop
    Serve(Box<ServeArgs>),
    /// Serve a file, a folder or a CAR over bitswap from a store that is thrown away
    Provide(ProvideArgs),
    /// Fetch a CID over bitswap, by default from this data folder's own worker
    Fetch(FetchArgs),
    /// Read and hash every block of this data folder again, while no worker runs on it
    Check(CheckArgs),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  pinrail-worker completions bash > /etc/bash_completion.d/pinrail-worker")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Read the settings from `arguments`, the environment and the file; prints help and ends the process when asked to,
/// or when an argument is wrong.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli> {
    let arguments = arguments.into_iter().collect::<Vec<_>>();
    let matches = Cli::command().try_get_matches_from(&arguments).unwrap_or_else(|problem| refuse(&problem));
    let command = file::command(&Common::from_arg_matches(&matches)?)?;
    let matches = command.try_get_matches_from(&arguments).unwrap_or_else(|problem| refuse(&problem));
    Ok(Cli::from_arg_matches(&matches)?)
}

/// Print the help or the version that was asked for, or what is wrong in one line, and end the process.
fn refuse(problem: &Error) -> ! {
    match problem.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            problem.exit()
        }
        _ => {
            eprintln!("error: {}; --help tells more", join_lines(&problem.to_string()));
            std::process::exit(problem.exit_code())
        }
    }
}
