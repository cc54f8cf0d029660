//! The queries on PostgreSQL, and the storage that runs them.
#![expect(clippy::duplicate_mod, reason = "one set of queries is compiled for both databases")]

mod address;
mod batcher;
mod clock;
mod connection;
mod dialect;
mod errors;
#[cfg(test)]
mod list_tests;
mod listener;
mod lookup_batcher;
mod migrations;
mod open;
mod pin_batcher;
mod pool;
#[path = "queries/mod.rs"]
mod queries;
mod redact;
mod session;
mod storage;
mod tls;
#[path = "trait_impls/mod.rs"]
mod trait_impls;
mod writes;

pub(crate) use address::is_same_place;
use diesel_async::RunQueryDsl;
pub use migrations::{migrate, revert, schema_status};
pub use open::{PostgresError, PostgresOptions, Problem};
pub(crate) use redact::without_password;
pub use storage::PostgresStorage;
pub(crate) use trait_impls::Session;

/// The database that the queries are written for.
type Db = diesel::pg::Pg;
/// The connection that they run on.
pub(crate) type Conn = connection::Connection;
/// The storage that runs them.
type Store = PostgresStorage;
