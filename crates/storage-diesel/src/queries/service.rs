//! The service's one row: its id, and the clock that never runs backwards.

use diesel::prelude::*;
use pinrail_domain::ServiceId;
use pinrail_spec::Timestamp;

use super::{Conn, RunQueryDsl};
use crate::columns::{id, moment};
use crate::error::Step;
use crate::fixed::fixed;
use crate::schema::service;

/// The greatest time that was ever written.
pub(crate) async fn clock(conn: &mut Conn) -> Step<Timestamp> {
    Ok(moment(service::table.select(service::clock).get_result(conn).await?))
}

/// Note that `now` was reached.
pub(crate) async fn advance_clock(conn: &mut Conn, now: Timestamp) -> Step<()> {
    enum Advance {}
    let row = service::table.filter(service::clock.lt(now.as_millis()));
    let update = diesel::update(row).set(service::clock.eq(now.as_millis()));
    fixed::<Advance, _>(update).execute(conn).await?;
    Ok(())
}

/// The service's random id.
pub(crate) async fn service_id(conn: &mut Conn) -> Step<ServiceId> {
    let bytes: Vec<u8> = service::table.select(service::id).get_result(conn).await?;
    Ok(ServiceId::from_uuid(id(&bytes)?))
}

/// Write the row as it is, to prove that the database accepts writes.
pub(crate) async fn touch(conn: &mut Conn) -> Step<()> {
    diesel::update(service::table).set(service::clock.eq(service::clock)).execute(conn).await?;
    Ok(())
}
