//! Pinrail's storage on SQLite, and the same queries for PostgreSQL.
//!
//! One set of query files (`queries/`) is ordinary Diesel and is compiled twice: `sqlite` and `postgres` each name
//! their `Db` and `Conn` and include it, and each has a small `dialect` with what differs. [`SqliteStorage`] runs
//! them on one writer thread that groups commits, and on a pool of readers; [`PostgresStorage`] on a pool of connections.

mod columns;
mod database;
mod difference;
mod error;
#[cfg(test)]
mod list_samples;
mod postgres;
mod repair;
mod room;
mod rows;
#[rustfmt::skip]
mod schema;
mod schema_status;
mod sqlite;
mod time_source;
pub mod transfer;

pub use database::{Database, DatabaseError, DatabaseOptions, Recount};
pub use difference::Difference;
pub use postgres::{PostgresError, PostgresOptions, PostgresStorage, Problem};
pub use repair::{Repaired, repair_clock};
pub use schema_status::SchemaStatus;
pub use sqlite::{OpenError, SqliteOptions, SqliteStorage, migrate, revert, schema_status};
pub use time_source::TimeSource;

/// The schema of a PostgreSQL database.
pub mod postgres_schema {
    pub use crate::postgres::{migrate, revert, schema_status};
}
