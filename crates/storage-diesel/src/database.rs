//! A database as the settings name it: a SQLite file or a PostgreSQL URL, opened and migrated the same way.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pinrail_spec::Timestamp;
use pinrail_storage::{Storage, StorageError};

use crate::postgres::{is_same_place, without_password};
use crate::{
    CounterMismatch, OpenError, PostgresError, PostgresOptions, PostgresStorage, SchemaStatus, SqliteOptions,
    SqliteStorage, postgres_schema, sqlite,
};

/// Where a database is. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// The file of a SQLite database.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database.
    Postgres(String),
}

/// How a database is opened, whichever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// How long to wait for a database that is not ready yet.
    pub wait: Duration,
    /// On SQLite, the shortest time between two commits.
    pub commit_interval: Duration,
    /// On PostgreSQL, connections at most.
    pub connections: usize,
    /// Who an operator's steps are noted to be of in the audit log.
    pub actor: String,
}

/// Why a database was not opened or migrated, and what would help.
#[derive(Debug)]
pub enum DatabaseError {
    /// It is neither a file nor a URL that is known.
    Unknown(String),
    /// SQLite's reasons.
    Sqlite(OpenError),
    /// PostgreSQL's reasons.
    Postgres(PostgresError),
}

impl std::error::Error for DatabaseError {}

impl fmt::Display for DatabaseError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(text) => write!(
                to,
                "the database {text:?} cannot be opened, wanted sqlite:<path> or postgres://<user>@<host>/<database>"
            ),
            Self::Sqlite(error) => error.fmt(to),
            Self::Postgres(error) => error.fmt(to),
        }
    }
}

impl From<OpenError> for DatabaseError {
    fn from(error: OpenError) -> Self {
        Self::Sqlite(error)
    }
}

impl From<PostgresError> for DatabaseError {
    fn from(error: PostgresError) -> Self {
        Self::Postgres(error)
    }
}

/// A storage that can hold its counters against what they count.
#[async_trait]
pub trait ConsistencyCheck: Storage {
    /// Compare every counter with what it counts; the differences, none in a database that is whole. Reads all of it.
    async fn check_counters(&self) -> Result<Vec<CounterMismatch>, StorageError>;

    /// What an operator should know of the database though nothing is wrong, a line each.
    async fn notes(&self) -> Result<Vec<String>, StorageError>;

    /// What has to be mended by a command, a line each that names it; `system_time` is the machine's.
    async fn problems(&self, system_time: Timestamp) -> Result<Vec<String>, StorageError>;
}

#[async_trait]
impl ConsistencyCheck for SqliteStorage {
    async fn check_counters(&self) -> Result<Vec<CounterMismatch>, StorageError> {
        Self::check_counters(self).await
    }

    async fn notes(&self) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    async fn problems(&self, system_time: Timestamp) -> Result<Vec<String>, StorageError> {
        Self::problems(self, system_time).await
    }
}

#[async_trait]
impl ConsistencyCheck for PostgresStorage {
    async fn check_counters(&self) -> Result<Vec<CounterMismatch>, StorageError> {
        Self::check_counters(self).await
    }

    async fn notes(&self) -> Result<Vec<String>, StorageError> {
        Self::notes(self).await
    }

    async fn problems(&self, _system_time: Timestamp) -> Result<Vec<String>, StorageError> {
        Self::problems(self).await
    }
}

impl Database {
    /// Read what the settings say: `sqlite:` and a path, or a URL of PostgreSQL.
    pub fn parse(text: &str) -> Result<Self, DatabaseError> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(Self::Postgres(text.to_owned())),
            // It may be a URL whose scheme is misspelt, with a password.
            _ => Err(DatabaseError::Unknown(without_password(text))),
        }
    }

    /// Whether both name the same database, as far as their names tell.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(other)) => {
                let place = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
                place(one) == place(other)
            }
            (Self::Postgres(one), Self::Postgres(other)) => is_same_place(one, other),
            (Self::Sqlite(_), Self::Postgres(_)) | (Self::Postgres(_), Self::Sqlite(_)) => false,
        }
    }

    /// Open it; its schema has to be one that this version can use. `clock` is the system's, which SQLite goes by.
    pub async fn open(
        &self,
        options: &DatabaseOptions,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<Arc<dyn ConsistencyCheck>, DatabaseError> {
        match self {
            Self::Sqlite(path) => {
                let options = SqliteOptions {
                    commit_interval: options.commit_interval,
                    wait_for_schema: options.wait,
                    actor: options.actor.clone(),
                    ..SqliteOptions::default()
                };
                Ok(Arc::new(SqliteStorage::open(path, options, clock).await?))
            }
            Self::Postgres(url) => {
                let options = PostgresOptions {
                    connections: options.connections,
                    wait: options.wait,
                    actor: options.actor.clone(),
                    ..PostgresOptions::default()
                };
                Ok(Arc::new(PostgresStorage::open(url, &options).await?))
            }
        }
    }

    /// How its schema stands. Changes nothing.
    pub async fn schema_status(&self) -> Result<SchemaStatus, DatabaseError> {
        match self {
            Self::Sqlite(path) => Ok(sqlite::schema_status(path)?),
            Self::Postgres(url) => Ok(postgres_schema::schema_status(url).await?),
        }
    }

    /// Bring its schema up to date, one process at a time; the migrations that were run.
    pub async fn migrate(&self) -> Result<Vec<String>, DatabaseError> {
        match self {
            Self::Sqlite(path) => Ok(sqlite::migrate(path)?),
            Self::Postgres(url) => Ok(postgres_schema::migrate(url).await?),
        }
    }

    /// Undo the last migration, with everything that its tables hold; its name, `None` when there is none left.
    pub async fn revert(&self) -> Result<Option<String>, DatabaseError> {
        match self {
            Self::Sqlite(path) => Ok(sqlite::revert(path)?),
            Self::Postgres(url) => Ok(postgres_schema::revert(url).await?),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => to.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(url) => to.debug_tuple("Postgres").field(&without_password(url)).finish(),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(to),
            Self::Postgres(url) => to.write_str(&without_password(url)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_chooses() {
        assert_eq!(Database::parse("sqlite:/a b/c.db").expect("a file"), Database::Sqlite("/a b/c.db".into()));
        let url = "postgresql://ada:s3cret@db.example/pinrail";
        let database = Database::parse(url).expect("a URL");
        assert_eq!(database, Database::Postgres(url.to_owned()));
        assert_eq!(database.to_string(), "postgresql://ada@db.example/pinrail");
        assert!(!format!("{database:?}").contains("s3cret"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "sqlite:", "postgres:pinrail", "mysql://ada@db.example/pinrail", "pinrail.db"] {
            let line = Database::parse(text).expect_err(text).to_string();
            assert!(line.contains("wanted sqlite:<path> or postgres://"), "{line}");
        }
    }
}
