//! Pinrail's storage on SQLite, and the same queries for PostgreSQL.
//!
//! One set of query files (`queries/`) is ordinary Diesel and is compiled twice: `sqlite` and `postgres` each name
//! their `Db` and `Conn` and include it, and each has a small `dialect` with what differs. [`SqliteStorage`] runs
//! them on one writer thread that groups commits, and on a pool of readers; [`PostgresStorage`] on a pool of connections.

mod clock_repair;
mod convert;
mod counters;
mod database;
mod error;
#[cfg(test)]
mod list_samples;
mod postgres;
mod room;
mod rows;
#[rustfmt::skip]
mod schema;
mod schema_status;
mod sqlite;
mod time_source;
pub mod transfer;

pub use clock_repair::{Repaired, repair_clock};
pub use counters::CounterMismatch;
pub use database::{ConsistencyCheck, Database, DatabaseError, DatabaseOptions};
pub use postgres::{PostgresError, PostgresOptions, PostgresStorage, Problem};
pub use schema_status::SchemaStatus;
pub use sqlite::{OpenError, SqliteOptions, SqliteStorage, migrate, revert, schema_status};
pub use time_source::TimeSource;

/// The schema of a PostgreSQL database.
pub mod postgres_schema {
    pub use crate::postgres::{migrate, revert, schema_status};
}
