//! Why a database was not moved, backed up or restored, and what would help.

use std::path::PathBuf;

use pinrail_storage::StorageError;
use thiserror::Error;

use crate::{CounterMismatch, DatabaseError, OpenError};

/// Why nothing was moved. What was begun is undone.
#[derive(Debug, Error)]
pub enum TransferError {
    /// A database that cannot be opened or migrated, or whose schema is another one.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database to be read is not there.
    #[error("there is no database {}, name the file of one", .0.display())]
    NoDatabase(PathBuf),
    /// Both names are those of one database.
    #[error("{0} is both what to copy and where to, name another database to copy to")]
    Same(String),
    /// The database to be written holds something.
    #[error("the database {database} is not empty: its table {table} has {rows} rows; name an empty one")]
    NotEmpty {
        /// The database.
        database: String,
        /// One of the tables with rows.
        table: &'static str,
        /// How many.
        rows: u64,
    },
    /// Somebody else is connected to a database that has to be at rest.
    #[error("a program of Pinrail is connected to {database} ({who}), stop it first")]
    InUse {
        /// The database.
        database: String,
        /// From where.
        who: String,
    },
    /// What a database says in the middle.
    #[error("the database {database}: {error}")]
    Failed {
        /// The database.
        database: String,
        /// What it says.
        error: StorageError,
    },
    /// A table lost or gained rows on the way.
    #[error("{place} has {found} rows of the table {table}, wanted {wanted}")]
    RowsDiffer {
        /// Where.
        place: String,
        /// The table.
        table: &'static str,
        /// How many there are to be.
        wanted: u64,
        /// How many there are.
        found: u64,
    },
    /// Counters of what was copied do not say what they count.
    #[error("{} of the counters in {database} are wrong, `pinrail-api check` names them; nothing is copied", .differences.len())]
    CountersDiffer {
        /// The database that was copied.
        database: String,
        /// Where they differ.
        differences: Vec<CounterMismatch>,
    },
    /// The file of a backup cannot be written or read.
    #[error("the backup cannot be {doing}: {error}")]
    File {
        /// What was tried: `written` or `read`.
        doing: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is no backup, or not whole, or altered.
    #[error("the file is no whole backup: {0}")]
    Damaged(String),
    /// The backup is of a version whose tables are others.
    #[error(
        "the backup was made by pinrail-api {made_by}, whose tables are others: restore it with that version, then migrate"
    )]
    OtherTables {
        /// The version.
        made_by: String,
    },
}

impl From<OpenError> for TransferError {
    fn from(error: OpenError) -> Self {
        Self::Database(error.into())
    }
}

impl TransferError {
    /// The file is not what it is to be.
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}
