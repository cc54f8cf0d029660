//! What PostgreSQL says of an error, in Diesel's words: above all whether it is worth another try.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};
use tokio_postgres::error::{DbError, SqlState};

use crate::error::{DISK_FULL, is_same_root};

/// Where the server finds that a prepared statement would say another type than it did when it was prepared, since a
/// migration has changed a column. What is prepared on another connection is right.
const OUTDATED: &str = "RevalidateCachedQuery";

/// An error of the driver as Diesel's. Deadlocks count as serialization failures: both are tried again.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
pub(super) fn told(error: tokio_postgres::Error) -> Error {
    let Some(told) = error.as_db_error() else {
        let kind = if error.is_closed() {
            DatabaseErrorKind::ClosedConnection
        } else {
            DatabaseErrorKind::UnableToSendCommand
        };
        return Error::DatabaseError(kind, Box::new(chain(&error)));
    };
    if *told.code() == SqlState::DISK_FULL {
        let full = format!("{DISK_FULL}: {}", told.message());
        return Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(full));
    }
    let kind = match told.code() {
        code if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => {
            DatabaseErrorKind::SerializationFailure
        }
        code if is_server_going(code) || told.routine() == Some(OUTDATED) => DatabaseErrorKind::ClosedConnection,
        code if *code == SqlState::UNIQUE_VIOLATION => DatabaseErrorKind::UniqueViolation,
        code if *code == SqlState::FOREIGN_KEY_VIOLATION => DatabaseErrorKind::ForeignKeyViolation,
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => DatabaseErrorKind::ReadOnlyTransaction,
        code if *code == SqlState::NOT_NULL_VIOLATION => DatabaseErrorKind::NotNullViolation,
        code if *code == SqlState::CHECK_VIOLATION => DatabaseErrorKind::CheckViolation,
        _ => DatabaseErrorKind::Unknown,
    };
    Error::DatabaseError(kind, Box::new(Told(told.clone())))
}

/// Whether the server ends the connection, or is not ready for one.
pub(super) fn is_server_going(code: &SqlState) -> bool {
    [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code)
        || code.code().starts_with("08")
}

/// An error with all that lies under it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        under = error.source();
    }
    line.replace('\n', " ")
}

struct Told(DbError);

impl DatabaseErrorInformation for Told {
    fn message(&self) -> &str {
        self.0.message()
    }

    fn details(&self) -> Option<&str> {
        self.0.detail()
    }

    fn hint(&self) -> Option<&str> {
        self.0.hint()
    }

    fn table_name(&self) -> Option<&str> {
        self.0.table()
    }

    fn column_name(&self) -> Option<&str> {
        self.0.column()
    }

    fn constraint_name(&self) -> Option<&str> {
        self.0.constraint()
    }

    fn statement_position(&self) -> Option<i32> {
        None
    }
}

/// Whether a transaction failed because of others at the same time, so that another try may do.
pub(super) fn is_collision(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) || is_same_root(error)
}

/// Whether the connection is gone, so that a transaction which was not to be committed yet may be tried on another.
pub(super) fn is_gone(error: &Error) -> bool {
    let Error::DatabaseError(kind, _) = error else { return false };
    matches!(kind, DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand)
}
