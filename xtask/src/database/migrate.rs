//! `cargo xtask migrate`: run, list, add and revert migrations on a development database.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use pinrail_testbed::command::run;
use pinrail_testbed::environment::{Environment, root};

use super::{Diesel, migrations};
use crate::progress::Step;

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    action: Action,

    /// The data folder whose `pinrail.db` is meant.
    #[arg(long, value_name = "DIR", global = true, default_value = ".pinrail")]
    data_dir: PathBuf,
}

#[derive(Subcommand)]
enum Action {
    /// Run the migrations that the database has not seen.
    Run,
    /// List the migrations, and which of them ran.
    Status,
    /// Make the files of a new migration, for SQLite and for PostgreSQL.
    New {
        /// What it does, in lower case with underscores: `add_invitations`.
        name: String,
    },
    /// Undo the newest migration that ran.
    Revert,
}

pub fn migrate(environment: &Environment, options: &Options) -> Result<()> {
    if let Action::New { name } = &options.action {
        return add(environment, name);
    }
    let data = root().join(&options.data_dir);
    let database = data.join("pinrail.db");
    let arguments: &[&str] = match options.action {
        Action::Status => &["list"],
        Action::Revert => &["revert"],
        Action::Run | Action::New { .. } => &["run"],
    };
    if matches!(options.action, Action::Run) {
        fs::create_dir_all(&data).with_context(|| format!("{} cannot be made", data.display()))?;
    } else {
        ensure!(database.is_file(), "there is no {}: `cargo xtask migrate run` makes it", database.display());
    }
    let diesel = find(environment)?;
    let output = run(diesel.migration(&database, arguments))?.success("diesel migration")?;
    print!("{output}");
    Ok(())
}

/// Both folders get the migration under one version, or one of the databases would lack it.
fn add(environment: &Environment, name: &str) -> Result<()> {
    ensure!(is_good_name(name), "name is `{name}`, wanted lower-case letters, digits and underscores");
    let before = names(&migrations("sqlite"))?;
    let diesel = find(environment)?;
    // It asks for no database, but wants the option's file to be a path.
    let generate = diesel.migration(Path::new("unused.db"), &["generate", name]);
    run(generate)?.success("diesel migration generate")?;
    let made = names(&migrations("sqlite"))?.into_iter().find(|folder| !before.contains(folder));
    let made = made.context("diesel made no migration")?;
    let twin = migrations("postgres").join(&made);
    fs::create_dir_all(&twin)?;
    for file in ["up.sql", "down.sql"] {
        fs::copy(migrations("sqlite").join(&made).join(file), twin.join(file))?;
    }
    for kind in ["sqlite", "postgres"] {
        println!("{}", migrations(kind).join(&made).display());
    }
    Ok(())
}

fn find(environment: &Environment) -> Result<Diesel> {
    let step = Step::start("diesel");
    let diesel = Diesel::find(environment, &step)?;
    drop(step);
    Ok(diesel)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn is_good_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_folder_is_refused() {
        assert!(is_good_name("add_invitations"));
        for name in ["", "../up", "Add", "a b"] {
            assert!(!is_good_name(name), "{name}");
        }
    }
}
