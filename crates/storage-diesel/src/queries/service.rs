//! The service's one row: its id.

use diesel::prelude::*;
use pinrail_domain::ServiceId;

use super::{Conn, RunQueryDsl};
use crate::convert::id;
use crate::error::TxResult;
use crate::schema::service;

/// The service's random id.
pub(crate) async fn service_id(conn: &mut Conn) -> TxResult<ServiceId> {
    let bytes: Vec<u8> = service::table.select(service::id).get_result(conn).await?;
    Ok(ServiceId::from_uuid(id(&bytes)?))
}

/// Write the row as it is, to prove that the database accepts writes.
pub(crate) async fn touch(conn: &mut Conn) -> TxResult<()> {
    diesel::update(service::table).set(service::clock.eq(service::clock)).execute(conn).await?;
    Ok(())
}
