//! The yardsticks: one row inserted into one table, and one row of one table claimed and finished, with the same
//! settings and the same grouping of commits.

mod postgres;
mod sqlite;

use std::time::Duration;

use anyhow::Result;
use pinrail_storage_diesel::Database;

use crate::place::{self, Place, Sql};

const ORIGINS: &str = "[\"/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN\",\
    \"/ip4/203.0.113.7/udp/4001/quic-v1/p2p/12D3KooWEXZkYnsNqLsvuBKa7ZKjKpPq9jPXcrqyJfCbRAzYXtCN\"]";
const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

/// Rows that are claimed together.
pub const CLAIMED: u64 = 32;

/// Clients that insert at once, each waiting for its row to be on the disk before it sends the next one.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub clients: u64,
    /// How many share the load: on PostgreSQL each has its lane, as where requests are added.
    pub accounts: u64,
    pub inserts: u64,
}

/// Durable inserts in a second: what a client sends with a pin request, under a request's keys, its account and time,
/// and its id.
pub async fn rate(place: &Place, load: Load) -> Result<f64> {
    let database = place.create().await?;
    let rate = match &database {
        Database::Sqlite(path) => sqlite::rate(path, load).await?,
        Database::Postgres(url) => postgres::rate(url, load).await?,
    };
    place::remove(database).await?;
    Ok(rate)
}

/// Rows claimed and finished in a second by `workers` at once, 32 at a time: two statements and two commits.
pub async fn claim_rate(place: &Place, workers: u64, rows: u64) -> Result<f64> {
    let database = place.create().await?;
    Sql::to(&database).await?.run(&jobs(&database, rows)).await?;
    let took = match &database {
        Database::Sqlite(path) => sqlite::claim(path, workers)?,
        Database::Postgres(url) => postgres::claim(url, workers).await?,
    };
    place::remove(database).await?;
    Ok(crate::scene::per_second(rows, took))
}

/// A table of jobs that are due.
fn jobs(database: &Database, rows: u64) -> String {
    let (settings, numbers) = match database {
        Database::Sqlite(_) => (
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
            format!(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
             INSERT INTO jobs SELECT n, 'due', n FROM numbers"
            ),
        ),
        Database::Postgres(_) => {
            ("", format!("INSERT INTO jobs SELECT n, 'due', n FROM generate_series(1, {rows}) AS n"))
        }
    };
    format!(
        "{settings} CREATE TABLE jobs (key BIGINT PRIMARY KEY, state TEXT NOT NULL, due BIGINT NOT NULL);
         CREATE INDEX jobs_due ON jobs (due) WHERE state = 'due'; {numbers};"
    )
}

/// How long the longest of them took.
fn longest(times: impl IntoIterator<Item = Duration>) -> Duration {
    times.into_iter().max().unwrap_or_default()
}
