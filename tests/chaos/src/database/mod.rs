//! The database of a run: where it is, and what it is asked beside the product.
//!
//! Triggers write down what must never be committed, in the order of the commits: no log and no
//! clock of ours could tell it so surely.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pinrail_testbed::command::{program, run};
use pinrail_testbed::environment::{Environment, root};
use pinrail_testbed::postgres::{Server, ServerOptions};
use pinrail_testbed::tools::sqlite_shell;
use rustix::process::{Pid, Signal, kill_process};

use super::clock::{Clock, SIGNALLED};

/// The triggers that watch a PostgreSQL database.
const POSTGRES_TRIGGERS: &str = include_str!("postgres.sql");

/// Returns the SQL that has a PostgreSQL database watched, for leases that last so long.
pub fn postgres_triggers(lease: Duration) -> String {
    POSTGRES_TRIGGERS.replace(":LEASE_MS", &lease.as_millis().to_string())
}

/// The kind of database that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A throw-away server.
    Postgres,
}

/// The database of one run.
#[derive(Debug)]
pub enum Database {
    /// A file, and the program that reads it.
    Sqlite { shell: PathBuf, file: PathBuf },
    /// A server that goes with the run, and the name of the database there.
    Postgres { server: Arc<Server>, name: String },
}

impl Database {
    /// The SQLite database in `file`.
    pub fn sqlite(file: PathBuf) -> Result<Self> {
        Ok(Self::Sqlite { shell: sqlite_shell(&Environment::read())?, file })
    }

    /// An empty database on a server of its own, which sees `clock` and waits for its disk.
    pub fn postgres(clock: &Clock) -> Result<Self> {
        let options =
            ServerOptions { durable: true, environment: clock.environment(SIGNALLED), ..ServerOptions::default() };
        let server = Arc::new(Server::start(&options)?);
        let name = server.create()?;
        Ok(Self::Postgres { server, name })
    }

    /// The port of its server, if it has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { server, .. } => Some(server.port()),
        }
    }

    /// Where a program finds it when its server is reached at `port`; none for the data folder's own.
    pub fn url(&self, port: u16) -> Option<String> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { server, name } => {
                Some(server.url(name).replace(&format!(":{}/", server.port()), &format!(":{port}/")))
            }
        }
    }

    /// `kill -9` of the server and all that it started.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if let Self::Postgres { server, .. } = self {
            // What watched over it goes too.
            server.crash();
        }
        Ok(())
    }

    /// Tell the server to stop, as an operator does.
    pub fn stop(&self) {
        if let Self::Postgres { server, .. } = self {
            server.stop();
        }
    }

    /// Start the server, and wait until it has recovered.
    pub fn start(&self) -> Result<()> {
        match self {
            Self::Sqlite { .. } => Ok(()),
            Self::Postgres { server, .. } => Ok(server.start_again()?),
        }
    }

    /// Have the server stand still.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Self::Postgres { server, .. } = self else { return Ok(()) };
        // The first one starts the others: once it is still, there come no more.
        if signal != Signal::CONT {
            send(server.processes()?.first(), Signal::STOP)?;
        }
        server.processes()?.iter().try_for_each(|id| send(Some(id), signal))
    }

    /// Have the migrated database watched from now on. A lease lasts `lease_ms`.
    pub fn watch(&self, lease_ms: u128) -> Result<()> {
        let triggers = match self {
            Self::Sqlite { .. } => include_str!("sqlite.sql"),
            Self::Postgres { .. } => POSTGRES_TRIGGERS,
        };
        self.query(&triggers.replace(":LEASE_MS", &lease_ms.to_string())).map(drop)
    }

    /// What the triggers wrote down.
    pub fn breaches(&self) -> Result<Vec<String>> {
        Ok(self.query("SELECT what FROM chaos_breaches ORDER BY key")?.lines().map(str::to_owned).collect())
    }

    /// How many rows a table has, or those of them with `WHERE` behind its name.
    pub fn count(&self, rows: &str) -> Result<u64> {
        let text = self.query(&format!("SELECT count(*) FROM {rows}"))?;
        text.trim().parse().with_context(|| format!("the count of {rows} is {text}"))
    }

    fn query(&self, sql: &str) -> Result<String> {
        match self {
            Self::Sqlite { shell, file } => {
                ensure!(file.is_file(), "{} is not there", file.display());
                let mut command = program(shell, root());
                command.args(["-batch", "-bail", "-cmd", ".timeout 20000"]).arg(file).arg(sql);
                run(command)?.success("sqlite3")
            }
            Self::Postgres { server, name } => Ok(server.sql(name, sql)?),
        }
    }
}

/// Send a process a signal, unless it has ended by itself.
fn send(process: Option<&u32>, signal: Signal) -> Result<()> {
    let Some(id) = process else { return Ok(()) };
    let id = i32::try_from(*id).ok().and_then(Pid::from_raw).context("a process without an id")?;
    let _ = kill_process(id, signal);
    Ok(())
}
