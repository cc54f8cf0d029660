//! The queries as PostgreSQL is asked them, and the storage that runs them.
#![expect(clippy::duplicate_mod, reason = "one set of queries is compiled for both databases")]

mod adder;
mod address;
mod asked;
mod batch;
mod clock;
mod connection;
mod dialect;
mod errors;
mod found;
mod lane;
#[cfg(test)]
mod list_tests;
mod listener;
mod look_ups;
mod migrations;
mod open;
mod pool;
mod questions;
mod row;
mod session;
mod shown;
mod storage;
mod tls;
mod together;

#[path = "steps/accounts.rs"]
mod account_steps;
#[path = "steps/audit.rs"]
mod audit_steps;
#[path = "steps/queue.rs"]
mod queue_steps;
#[path = "steps/requests.rs"]
mod request_steps;
#[path = "steps/tokens.rs"]
mod token_steps;
#[path = "steps/transfer.rs"]
mod transfer_steps;

#[path = "queries/accept.rs"]
mod accept;
#[path = "queries/accounts.rs"]
mod accounts;
#[path = "queries/audit.rs"]
mod audit;
#[path = "queries/blocks.rs"]
mod blocks;
#[path = "queries/change.rs"]
mod change;
#[path = "queries/check.rs"]
mod check;
#[path = "queries/counts.rs"]
mod counts;
#[path = "queries/future.rs"]
mod future;
#[path = "queries/holds.rs"]
mod holds;
#[path = "queries/known.rs"]
mod known;
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
#[path = "queries/statistics.rs"]
mod statistics;
#[path = "queries/tally.rs"]
mod tally;
#[path = "queries/tokens.rs"]
mod tokens;
#[path = "queries/transfer.rs"]
mod transfer;
#[path = "queries/turns.rs"]
mod turns;
#[path = "queries/upkeep.rs"]
mod upkeep;

pub(crate) use address::is_same_place;
pub use migrations::{migrate, revert, schema_status};
pub use open::{PostgresError, PostgresOptions, Problem};
pub(crate) use shown::without_password;
pub use storage::PostgresStorage;
pub(crate) use transfer_steps::Session;

/// The database that the queries are written for.
type Db = diesel::pg::Pg;
/// The connection that they run on.
pub(crate) type Conn = connection::Connection;
/// How they run on it.
use diesel_async::RunQueryDsl;
/// The storage that does the steps.
type Store = PostgresStorage;
