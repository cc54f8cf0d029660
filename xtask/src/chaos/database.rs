//! The database of a run: where it is, and what it is asked beside the product.
//!
//! Triggers write down what must never be committed, in the order of the commits: no log and no
//! clock of ours could tell it so surely.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::command::{program, run};
use crate::environment::{Environment, root};
use crate::progress::Step;
use crate::tools::system;

/// Which database is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Sqlite,
}

/// The database of one run.
#[derive(Debug)]
pub struct Database {
    shell: PathBuf,
    file: PathBuf,
}

impl Database {
    /// The SQLite database in `file`.
    pub fn sqlite(environment: &Environment, file: PathBuf, step: &Step) -> Result<Self> {
        let shell = match environment.find_program("sqlite3") {
            Some(shell) => shell,
            None => system::install(environment, "sqlite3", "sqlite3", step)?,
        };
        Ok(Self { shell, file })
    }

    /// Have the migrated database watched from now on. A lease lasts `lease_ms`.
    pub fn watch(&self, lease_ms: u128) -> Result<()> {
        self.query(&format!(
            "CREATE TABLE chaos_breaches (key INTEGER PRIMARY KEY, what TEXT NOT NULL);

            CREATE TRIGGER chaos_two_leases AFTER UPDATE OF lease_token ON roots
            WHEN OLD.lease_token IS NOT NULL AND NEW.lease_token IS NOT NULL AND OLD.lease_token <> NEW.lease_token
              AND OLD.lease_until > NEW.lease_until - {lease_ms}
            BEGIN INSERT INTO chaos_breaches (what) VALUES
              ('root ' || NEW.key || ' was leased again before its lease ended at ' || OLD.lease_until);
            END;

            CREATE TRIGGER chaos_same_epoch AFTER UPDATE OF lease_token ON roots
            WHEN NEW.lease_token IS NOT NULL AND OLD.lease_token IS NOT NEW.lease_token AND NEW.epoch <= OLD.epoch
            BEGIN INSERT INTO chaos_breaches (what) VALUES
              ('root ' || NEW.key || ' was leased anew in its old epoch ' || OLD.epoch);
            END;

            CREATE TRIGGER chaos_pinned_by_nobody AFTER UPDATE OF state ON roots
            WHEN NEW.state = 'pinned' AND OLD.state <> 'pinned' AND OLD.lease_token IS NULL
            BEGIN INSERT INTO chaos_breaches (what) VALUES
              ('root ' || NEW.key || ' was ' || OLD.state || ' and became pinned with no lease');
            END;

            CREATE TRIGGER chaos_wanted_row_gone AFTER DELETE ON roots
            WHEN OLD.refs > 0 OR OLD.requests > 0
            BEGIN INSERT INTO chaos_breaches (what) VALUES
              ('root ' || OLD.key || ' went with ' || OLD.refs || ' references');
            END;"
        ))
        .map(drop)
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
        ensure!(self.file.is_file(), "{} is not there", self.file.display());
        let mut command = program(&self.shell, root());
        command.args(["-batch", "-bail", "-cmd", ".timeout 20000"]).arg(&self.file).arg(sql);
        run(command)?.success("sqlite3")
    }
}
