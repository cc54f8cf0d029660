//! The queries as PostgreSQL is asked them. They are compiled, so that they stay true for both databases; the pool,
//! the listening and TLS that run them are not there yet, so nothing of this is public.
#![expect(dead_code, reason = "compiled for PostgreSQL, run once its connections are there")]
#![expect(clippy::duplicate_mod, reason = "one set of queries is compiled for both databases")]

mod dialect;

#[path = "queries/accept.rs"]
mod accept;
#[path = "queries/accounts.rs"]
mod accounts;
#[path = "queries/blocks.rs"]
mod blocks;
#[path = "queries/change.rs"]
mod change;
#[path = "queries/check.rs"]
mod check;
#[path = "queries/counts.rs"]
mod counts;
#[path = "queries/holds.rs"]
mod holds;
#[path = "queries/leases.rs"]
mod leases;
#[path = "queries/matching.rs"]
mod matching;
#[path = "queries/nodes.rs"]
mod nodes;
#[path = "queries/pages.rs"]
mod pages;
#[path = "queries/releases.rs"]
mod releases;
#[path = "queries/requests.rs"]
mod requests;
#[path = "queries/service.rs"]
mod service;
#[path = "queries/settle.rs"]
mod settle;
#[path = "queries/tally.rs"]
mod tally;
#[path = "queries/tokens.rs"]
mod tokens;
#[path = "queries/turns.rs"]
mod turns;
#[path = "queries/upkeep.rs"]
mod upkeep;

/// The database that the queries are written for.
type Db = diesel::pg::Pg;
/// The connection that they run on.
type Conn = diesel_async::AsyncPgConnection;
/// How they run on it.
use diesel_async::RunQueryDsl;
