//! The queries on PostgreSQL, and the storage that runs them.
#![expect(clippy::duplicate_mod, reason = "one set of queries is compiled for both databases")]

mod adder;
mod address;
mod clock;
mod connection;
mod dialect;
mod errors;
#[path = "impls/mod.rs"]
mod impls;
mod lane;
#[cfg(test)]
mod list_tests;
mod listener;
mod look_ups;
mod migrations;
mod open;
mod pool;
#[path = "queries/mod.rs"]
mod queries;
mod session;
mod shown;
mod storage;
mod tls;
mod writes;

pub(crate) use address::is_same_place;
use diesel_async::RunQueryDsl;
pub(crate) use impls::Session;
pub use migrations::{migrate, revert, schema_status};
pub use open::{PostgresError, PostgresOptions, Problem};
pub(crate) use shown::without_password;
pub use storage::PostgresStorage;

/// The database that the queries are written for.
type Db = diesel::pg::Pg;
/// The connection that they run on.
pub(crate) type Conn = connection::Connection;
/// The storage that runs them.
type Store = PostgresStorage;
