//! The server's clock.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::sql_types::BigInt;
use pinrail_spec::Timestamp;

use super::{Conn, RunQueryDsl};
use crate::TimeSource;
use crate::convert::moment;
use crate::error::TxResult;

/// The server's time in milliseconds since the Unix epoch.
pub(super) const CLOCK: &str = "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";

/// What the database's clock makes of the time that a caller gives.
pub(super) struct Clock(Option<Timestamp>);

impl Clock {
    /// Look at it.
    pub(super) async fn read(conn: &mut Conn) -> TxResult<Self> {
        Ok(Self(match conn.time() {
            TimeSource::Database => Some(moment(diesel::select(shown()).get_result(conn).await?)),
            TimeSource::Caller => None,
        }))
    }

    /// What a query of the connection read of it as [`shown`].
    pub(super) fn reading(conn: &Conn, shown: i64) -> Self {
        Self((conn.time() == TimeSource::Database).then(|| moment(shown)))
    }

    /// The moment that a step goes by.
    pub(super) fn moment(&self, given: Timestamp) -> Timestamp {
        self.0.unwrap_or(given)
    }
}

/// What it shows, as a part of a query.
pub(super) fn shown() -> SqlLiteral<BigInt> {
    sql(CLOCK)
}
