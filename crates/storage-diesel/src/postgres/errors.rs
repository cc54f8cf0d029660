//! What an error of PostgreSQL means: above all whether another try may do.

use diesel::result::{DatabaseErrorKind, Error};
use tokio_postgres::error::SqlState;

use crate::error::is_same_root;

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

/// Whether a transaction that failed before its commit may succeed when it is tried again.
///
/// diesel-async tells neither a deadlock nor a server that goes down by its code: they arrive as unknown errors, in the
/// server's language. So every error is tried again but those that another try cannot change.
pub(super) fn may_pass(error: &Error) -> bool {
    let Error::DatabaseError(kind, _) = error else { return false };
    let is_final = matches!(
        kind,
        DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::RestrictViolation
            | DatabaseErrorKind::ExclusionViolation
            | DatabaseErrorKind::ReadOnlyTransaction
    );
    !is_final || is_same_root(error)
}

/// Whether an error says that nothing of the transaction was kept, also when it is of the commit: a deferred refusal or
/// a collision. Of any other nobody knows.
pub(super) fn is_undone(error: &Error) -> bool {
    use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand, Unknown};
    !matches!(error, Error::DatabaseError(ClosedConnection | UnableToSendCommand | Unknown, _))
}
