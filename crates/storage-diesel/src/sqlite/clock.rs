//! The clock that never runs backwards: the greatest time that was ever written.

use diesel::prelude::*;
use pinrail_spec::Timestamp;

use super::{Conn, RunQueryDsl};
use crate::columns::moment;
use crate::error::Step;
use crate::fixed::fixed;
use crate::schema::service;

/// The greatest time that was ever written.
pub(super) async fn clock(conn: &mut Conn) -> Step<Timestamp> {
    Ok(moment(service::table.select(service::clock).get_result(conn).await?))
}

/// Note that `now` was reached.
pub(super) async fn advance_clock(conn: &mut Conn, now: Timestamp) -> Step<()> {
    enum Advance {}
    let row = service::table.filter(service::clock.lt(now.as_millis()));
    let update = diesel::update(row).set(service::clock.eq(now.as_millis()));
    fixed::<Advance, _>(update).execute(conn).await?;
    Ok(())
}
