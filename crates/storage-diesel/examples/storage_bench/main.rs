//! Measures the storage, on SQLite in a folder or on PostgreSQL with `--server`, and prepares databases for others that
//! measure. `cargo xtask bench` calls it.

mod adds;
mod bare;
#[path = "../../src/sqlite/batch_queue.rs"]
mod batch_queue;
mod big;
mod figure;
mod fill;
mod filters;
mod place;
mod reads;
mod scene;
mod work;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use pinrail_storage_diesel::Database;
use serde_json::json;

use bare::Load;
use figure::Figure;
use fill::Fill;
use place::Place;

/// Measure the storage and print the figures as one line of JSON.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Rates of adding and settling, and times of reading.
    Measure {
        #[command(flatten)]
        site: Site,
        /// Requests that are added for each rate.
        #[arg(long, default_value_t = 20_000)]
        requests: u64,
        /// How many pins the large account has; with 0 nothing is read.
        #[arg(long, default_value_t = 1_000_000)]
        pins: u64,
    },
    /// Reads of an account that is larger still, among many accounts.
    Big {
        #[command(flatten)]
        site: Site,
        #[arg(long, default_value_t = 10_000_000)]
        pins: u64,
        #[arg(long, default_value_t = 10_000)]
        accounts: u64,
    },
    /// The yardstick alone: bare inserts in a second.
    Bare {
        #[command(flatten)]
        site: Site,
        #[arg(long, default_value_t = 20_000)]
        requests: u64,
        #[arg(long, default_value_t = 16)]
        clients: u64,
        #[arg(long, default_value_t = 1)]
        accounts: u64,
    },
    /// Make an empty database and print where it is.
    Create {
        #[command(flatten)]
        site: Site,
    },
    /// Delete a database that `create` made.
    Remove {
        #[arg(long, value_parser = Database::parse)]
        database: Database,
    },
    /// Give an empty account pins.
    Fill {
        #[arg(long, value_parser = Database::parse)]
        database: Database,
        #[arg(long)]
        account: String,
        #[arg(long)]
        pins: u64,
        /// All of them queued; otherwise every other one is pinned.
        #[arg(long)]
        queued: bool,
    },
    /// Settle 500 roots a second until it is stopped, and print the rate each second.
    Settle {
        #[arg(long, value_parser = Database::parse)]
        database: Database,
    },
}

/// Where databases are made.
#[derive(Args)]
struct Site {
    /// The folder for SQLite's files; a temporary one without it.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Measure on PostgreSQL: the URL of any database of the server, beside which others are made.
    #[arg(long)]
    server: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let place = |site: Site| match site.server {
        Some(url) => Place::Server(url),
        None => Place::Folder(site.folder.unwrap_or_else(|| scratch.path().to_owned())),
    };
    match Options::parse().task {
        Task::Measure { site, requests, pins } => {
            let place = place(site);
            let mut figures = adds::measure(&place, requests).await?;
            figures.extend(work::measure(&place, requests).await?);
            if pins > 0 {
                figures.extend(reads::measure(&place, pins).await?);
            }
            print(&figures);
        }
        Task::Big { site, pins, accounts } => print(&big::measure(&place(site), pins, accounts).await?),
        Task::Bare { site, requests, clients, accounts } => {
            let rate = bare::rate(&place(site), Load { clients, accounts, inserts: requests }).await?;
            println!("{}", json!({ "rate": rate }));
        }
        Task::Create { site } => println!("{}", url(&place(site).create().await?)),
        Task::Remove { database } => place::remove(database).await?,
        Task::Fill { database, account, pins, queued } => {
            let fill = Fill { pins, pinned: !queued, meta: false };
            fill::account(&database, &account, fill).await?;
        }
        Task::Settle { database } => work::settle_and_tell(database).await?,
    }
    Ok(())
}

/// As the programs' settings name it.
fn url(database: &Database) -> String {
    match database {
        Database::Sqlite(path) => format!("sqlite:{}", path.display()),
        Database::Postgres(url) => url.clone(),
    }
}

fn print(figures: &[Figure]) {
    println!("{}", json!({ "figures": figures }));
}
