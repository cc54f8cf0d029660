//! Pinrail's storage on SQLite, and the same queries for PostgreSQL.
//!
//! One set of query files (`queries/`) is ordinary Diesel and is compiled twice: `sqlite` and `postgres` each name
//! their `Db` and `Conn` and include it, and each has a small `dialect` with what differs. [`SqliteStorage`] runs
//! them on one writer thread that groups commits, and on a pool of readers.

mod columns;
mod error;
mod fixed;
mod postgres;
mod rows;
#[rustfmt::skip]
mod schema;
mod sqlite;

pub use sqlite::{Difference, OpenError, SchemaStatus, SqliteOptions, SqliteStorage, migrate, revert, schema_status};
