//! Putting right what a clock that was ahead has left in a database.

use pinrail_spec::Timestamp;

use crate::Database;
use crate::transfer::{Session, TransferError};

/// What was brought back from the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repaired {
    /// The time that it is.
    pub now: Timestamp,
    /// Accounts with pin requests of the future.
    pub accounts: usize,
    /// Those requests; each has another `created` now.
    pub requests: usize,
    /// Roots that were due in the future and are now.
    pub roots: usize,
}

/// The problem that these phrases make, of what is found in the future though it is `now`.
pub(crate) fn problem_of(found: &[String], now: &str) -> Option<String> {
    (!found.is_empty()).then(|| {
        format!(
            "the clock was ahead once: {now}, but {}; if the clock is right now, stop all programs and run \
            `pinrail-api database repair-clock`",
            found.join(", ")
        )
    })
}

/// Bring all moments of a database that lie in the future back to now, which is `system_time` for a file, and the
/// server's time on PostgreSQL; `by` is noted in the audit log. No other program may be connected.
pub async fn repair_clock(database: &Database, by: &str, system_time: Timestamp) -> Result<Repaired, TransferError> {
    let mut session = Session::alone(database).await?;
    let repaired = session.bring_back(by, system_time).await?;
    session.commit().await?;
    Ok(repaired)
}
