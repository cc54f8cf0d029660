//! Rows written one after another: each finds its statement prepared.

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::upsert::excluded;

use super::queries::counter_deltas::UsageDelta;
use super::queries::unit_of_work::{Place, StatusCopy};
use super::{Conn, RunQueryDsl};
use crate::rows::{CountRow, MetaRow, PinRequestRow, QueueRow, RootRow};
use crate::schema::{accounts, pin_counts, pin_meta, pin_requests, queue, roots, service};

/// Insert new roots, each with an epoch above that of every root whose row went.
pub(crate) async fn insert_roots(conn: &mut Conn, rows: Vec<RootRow>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let released: i64 = service::table.select(service::released_epoch).get_result(conn).await?;
    for mut row in rows {
        row.epoch = row.epoch.max(released + 1);
        diesel::insert_into(roots::table).values(row).execute(conn).await?;
    }
    Ok(())
}

/// Save how roots stand.
pub(crate) async fn update_roots(conn: &mut Conn, rows: Vec<RootRow>) -> QueryResult<()> {
    for row in rows {
        diesel::update(roots::table.find(row.key)).set(row).execute(conn).await?;
    }
    Ok(())
}

pub(crate) async fn insert_requests(conn: &mut Conn, rows: Vec<PinRequestRow>) -> QueryResult<()> {
    for row in rows {
        diesel::insert_into(pin_requests::table).values(row).execute(conn).await?;
    }
    Ok(())
}

pub(crate) async fn insert_meta(conn: &mut Conn, rows: Vec<MetaRow>) -> QueryResult<()> {
    for row in rows {
        diesel::insert_into(pin_meta::table).values(row).execute(conn).await?;
    }
    Ok(())
}

/// Write copies of states into requests.
pub(crate) async fn update_statuses(conn: &mut Conn, copies: Vec<StatusCopy>) -> QueryResult<()> {
    for (account, created, state) in copies {
        let row = pin_requests::table.find((account, created));
        diesel::update(row).set(pin_requests::status.eq(state)).execute(conn).await?;
    }
    Ok(())
}

/// Write what accounts have on roots.
pub(crate) async fn upsert_claims(conn: &mut Conn, rows: Vec<QueueRow>) -> QueryResult<()> {
    for row in rows {
        let now = (
            queue::requests.eq(excluded(queue::requests)),
            queue::holds.eq(excluded(queue::holds)),
            queue::node.eq(excluded(queue::node)),
            queue::rank.eq(excluded(queue::rank)),
            queue::due.eq(excluded(queue::due)),
        );
        let insert = diesel::insert_into(queue::table).values(row);
        insert.on_conflict((queue::root, queue::account)).do_update().set(now).execute(conn).await?;
    }
    Ok(())
}

/// Put roots in their places in the queues of the accounts that have requests for them.
pub(crate) async fn update_places(conn: &mut Conn, places: Vec<Place>) -> QueryResult<()> {
    for (root, node, rank, due) in places {
        let rows = queue::table.filter(queue::root.eq(root)).filter(queue::requests.gt(0));
        let place = (queue::node.eq(node), queue::rank.eq(rank), queue::due.eq(due));
        diesel::update(rows).set(place).execute(conn).await?;
    }
    Ok(())
}

/// Count what accounts use more or less.
pub(crate) async fn update_usage(conn: &mut Conn, deltas: Vec<(i64, UsageDelta)>) -> QueryResult<()> {
    for (account, delta) in deltas {
        let usage = (
            accounts::used_requests.eq(accounts::used_requests + delta.requests),
            accounts::used_queued_roots.eq(accounts::used_queued_roots + delta.queued_roots),
            accounts::used_bytes.eq(accounts::used_bytes + delta.bytes),
            accounts::last_created.eq(accounts::last_created + delta.created),
            accounts::next_ordinal.eq(accounts::next_ordinal + delta.ordinals),
        );
        diesel::update(accounts::table.find(account)).set(usage).execute(conn).await?;
    }
    Ok(())
}

/// Count requests more or less in buckets, since the oldest of those that came.
pub(crate) async fn add_counts(conn: &mut Conn, rows: Vec<CountRow>) -> QueryResult<()> {
    for row in rows {
        let since = excluded(pin_counts::since);
        let sum = (
            pin_counts::n.eq(pin_counts::n + excluded(pin_counts::n)),
            pin_counts::since.eq(case_when(since.lt(pin_counts::since), since).otherwise(pin_counts::since)),
        );
        let bucket = (pin_counts::account, pin_counts::level, pin_counts::bucket, pin_counts::status);
        let insert = diesel::insert_into(pin_counts::table).values(row);
        insert.on_conflict(bucket).do_update().set(sum).execute(conn).await?;
    }
    Ok(())
}
