//! Why a step on the database was not done, before it is told to the caller in storage's own words.

use diesel::result::{DatabaseErrorKind, Error};
use pinrail_storage::StorageError;

/// The unique index through which two transactions find out that both have made the same root.
const SAME_ROOT: &str = "roots_codec_multihash";

/// Whether a transaction failed because another has made the same root.
pub(crate) fn is_same_root(error: &Error) -> bool {
    let Error::DatabaseError(DatabaseErrorKind::UniqueViolation, told) = error else { return false };
    told.constraint_name() == Some(SAME_ROOT)
}

/// What SQLite says when its disk is full, and PostgreSQL in English: diesel-async does not pass on the error's code.
const DISK_FULL: [&str; 2] = ["database or disk is full", "No space left on device"];

fn is_disk_full(message: &str) -> bool {
    DISK_FULL.iter().any(|text| message.contains(text))
}

/// What a query function answers.
pub(crate) type TxResult<T> = Result<T, TxError>;

/// A step that was not done: refused by a rule of ours, or by the database.
///
/// They are told apart so that only the database's own refusals are tried again.
#[derive(Debug)]
pub(crate) enum TxError {
    /// A rule of ours.
    Refused(StorageError),
    /// The database.
    Database(Error),
}

impl From<Error> for TxError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<StorageError> for TxError {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

impl TxError {
    /// What is stored contradicts itself.
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Refused(StorageError::Corrupt(what.into()))
    }

    /// `conflict` when the database found the value of a unique column taken, else as it is.
    pub(crate) fn or_conflict(error: Error, conflict: impl Into<String>) -> Self {
        match error {
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                Self::Refused(StorageError::Conflict(conflict.into()))
            }
            other => Self::Database(other),
        }
    }

    /// Whether the database found the value of a unique column taken, unless another step has made the same root.
    pub(crate) fn is_taken(&self) -> bool {
        let Self::Database(error) = self else { return false };
        matches!(error, Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) && !is_same_root(error)
    }
}

impl From<TxError> for StorageError {
    fn from(failed: TxError) -> Self {
        let is_taken = failed.is_taken();
        match failed {
            TxError::Database(error) if is_taken => Self::Conflict(error.to_string()),
            TxError::Refused(error) => error,
            TxError::Database(Error::DeserializationError(error)) => Self::Corrupt(error.to_string()),
            TxError::Database(Error::NotFound) => Self::Corrupt("a row that others refer to is gone".to_owned()),
            TxError::Database(Error::DatabaseError(_, told)) if is_disk_full(told.message()) => {
                Self::Full(told.message().to_owned())
            }
            TxError::Database(error) => Self::Unavailable(error.to_string()),
        }
    }
}
