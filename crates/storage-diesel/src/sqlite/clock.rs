//! The clock that never runs backwards: the greatest time that was ever written.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use pinrail_spec::Timestamp;

use super::{Conn, RunQueryDsl};
use crate::TimeSource;
use crate::convert::moment;
use crate::error::TxResult;
use crate::schema::service;

/// What the database's clock makes of the time that a caller gives.
pub(super) struct Clock(Option<Timestamp>);

impl Clock {
    /// Look at it.
    pub(super) async fn read(conn: &mut Conn) -> TxResult<Self> {
        Ok(Self(match conn.time() {
            TimeSource::Database => {
                let stored = clock(conn).await?;
                Some(conn.time_at(stored))
            }
            TimeSource::Caller => None,
        }))
    }

    /// What a query of the connection read of it as [`shown`].
    pub(super) fn reading(conn: &Conn, shown: i64) -> Self {
        Self((conn.time() == TimeSource::Database).then(|| conn.time_at(moment(shown))))
    }

    /// The moment that a step goes by: never below the greatest that was ever written, and later if the machine's clock
    /// was put back since.
    pub(super) fn moment(&self, given: Timestamp) -> Timestamp {
        self.0.map_or(given, |greatest| greatest.max(given))
    }
}

/// What it shows, as a part of a query.
pub(super) fn shown() -> SqlLiteral<BigInt> {
    sql("(SELECT clock FROM service)")
}

/// The least that the database's time is.
pub(super) async fn now(conn: &mut Conn) -> TxResult<Timestamp> {
    let stored = clock(conn).await?;
    Ok(conn.time_at(stored))
}

/// The greatest time that was ever written.
pub(super) async fn clock(conn: &mut Conn) -> TxResult<Timestamp> {
    Ok(moment(service::table.select(service::clock).get_result(conn).await?))
}

/// Note that `now` was reached.
pub(super) async fn advance_clock(conn: &mut Conn, now: Timestamp) -> TxResult<()> {
    let row = service::table.filter(service::clock.lt(now.as_millis()));
    let update = diesel::update(row).set(service::clock.eq(now.as_millis()));
    update.execute(conn).await?;
    Ok(())
}
