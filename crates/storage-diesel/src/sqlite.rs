//! The queries on SQLite, and the storage that runs them.
#![expect(clippy::duplicate_mod, reason = "one set of queries is compiled for both databases")]

mod batch_queue;
mod clock;
mod connection;
mod dialect;
mod holder;
mod interrupt;
#[cfg(test)]
mod list_tests;
mod lookups;
mod open;
mod pace;
#[path = "queries/mod.rs"]
mod queries;
mod reader;
mod revision;
mod session;
mod storage;
#[path = "trait_impls/mod.rs"]
mod trait_impls;
mod writer;
mod writes;

pub use open::{OpenError, SqliteOptions, migrate, revert, schema_status};
pub use storage::SqliteStorage;
pub(crate) use trait_impls::Session;

use connection::RunQueryDsl;
use diesel::sqlite::Sqlite;

/// The database that the queries are written for.
type Db = Sqlite;
/// The connection that they run on.
pub(crate) type Conn = connection::Connection;
/// The storage that runs them.
type Store = SqliteStorage;
