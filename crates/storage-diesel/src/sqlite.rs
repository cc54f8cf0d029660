//! The queries on SQLite, and the storage that runs them.
#![expect(clippy::duplicate_mod, reason = "one set of queries is compiled for both databases")]

mod clock;
mod connection;
mod dialect;
mod gathering;
mod holder;
#[path = "impls/mod.rs"]
mod impls;
mod interrupt;
#[cfg(test)]
mod list_tests;
mod look_ups;
mod open;
mod pace;
#[path = "queries/mod.rs"]
mod queries;
mod reader;
mod revision;
mod session;
mod storage;
mod writer;
mod writes;

pub(crate) use impls::Session;
pub use open::{OpenError, SqliteOptions, migrate, revert, schema_status};
pub use storage::SqliteStorage;

use connection::RunQueryDsl;
use diesel::sqlite::Sqlite;

/// The database that the queries are written for.
type Db = Sqlite;
/// The connection that they run on.
pub(crate) type Conn = connection::Connection;
/// The storage that runs them.
type Store = SqliteStorage;
