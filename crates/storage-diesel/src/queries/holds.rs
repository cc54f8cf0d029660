//! Holds: what keeps the root of a replaced request until the one that replaced it is there.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::releases::{Claim, unclaim};
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect};
use crate::error::Step;
use crate::schema::{holds, queue};

/// Holds that end in one step when their time has come.
const EXPIRED_AT_ONCE: i64 = 500;

/// A hold to end: whose it is, on which root, for which account.
type HoldKey = (Vec<u8>, i64, i64);

/// Have holds that wait for `awaited` end at `ends`, or as long as they wait.
pub(super) async fn end_later(conn: &mut Conn, awaited: i64, ends: Option<i64>) -> Step<()> {
    let update = diesel::update(holds::table.filter(holds::awaited.eq(awaited))).set(holds::ends.eq(ends));
    Ok(dialect::write_later(conn, update).await?)
}

/// Have the holds of `old` wait for the root of `new`, the request that replaced it.
pub(super) async fn inherit(conn: &mut Conn, old: &[u8], new: &[u8], awaited: i64) -> Step<()> {
    let update = diesel::update(holds::table.filter(holds::owner.eq(old))).set((
        holds::owner.eq(new),
        holds::awaited.eq(awaited),
        holds::ends.eq(None::<i64>),
    ));
    Ok(dialect::write_later(conn, update).await?)
}

/// Have `owner` hold a root until `awaited` is pinned; whether it did not hold it already.
pub(super) async fn hold(conn: &mut Conn, owner: &[u8], root: i64, account: i64, awaited: i64) -> Step<bool> {
    let added = diesel::insert_into(holds::table)
        .values((
            holds::owner.eq(owner),
            holds::root.eq(root),
            holds::account.eq(account),
            holds::awaited.eq(awaited),
            holds::ends.eq(None::<i64>),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if added == 1 {
        let row = queue::table.find((root, account));
        dialect::write_later(conn, diesel::update(row).set(queue::holds.eq(queue::holds + 1))).await?;
    }
    Ok(added == 1)
}

/// When the last of a request's holds ends, as a part of a query of requests; null while they wait without an end.
pub(super) fn last_end() -> SqlLiteral<Nullable<BigInt>> {
    sql("(SELECT MAX(ends) FROM holds WHERE holds.owner = pin_requests.id)")
}

/// When the last holds of these requests end, for those that have an end. They are looked up `at_once`, a fixed number,
/// so that there is one statement for any number of them.
pub(super) async fn last_ends(conn: &mut Conn, owners: &[Vec<u8>], at_once: usize) -> Step<HashMap<Vec<u8>, i64>> {
    let mut ends: HashMap<Vec<u8>, i64> = HashMap::new();
    for some in owners.chunks(at_once) {
        let mut some = some.to_vec();
        some.resize(at_once, some[0].clone());
        let ending = holds::table.filter(holds::owner.eq_any(some)).filter(holds::ends.is_not_null());
        let found: Vec<(Vec<u8>, i64)> =
            ending.select((holds::owner, holds::ends.assume_not_null())).load(conn).await?;
        for (owner, end) in found {
            let last = ends.entry(owner).or_insert(end);
            *last = end.max(*last);
        }
    }
    Ok(ends)
}

/// End the holds of one request.
pub(super) async fn end_holds_of(conn: &mut Conn, owner: &[u8], now: i64, tally: &mut Tally) -> Step<()> {
    let held = holds::table.filter(holds::owner.eq(owner)).order(holds::root);
    let held: Vec<HoldKey> = held.select((holds::owner, holds::root, holds::account)).load(conn).await?;
    end(conn, &held, now, tally).await.map(drop)
}

/// End the holds that wait for a root, because it is pinned; whether there were any.
pub(super) async fn end_holds_awaiting(conn: &mut Conn, awaited: i64, now: i64, tally: &mut Tally) -> Step<bool> {
    let held = holds::table.filter(holds::awaited.eq(awaited)).order((holds::root, holds::owner));
    let held: Vec<HoldKey> = held.select((holds::owner, holds::root, holds::account)).load(conn).await?;
    end(conn, &held, now, tally).await?;
    Ok(!held.is_empty())
}

/// End these holds; how many of them another step had not ended meanwhile.
async fn end(conn: &mut Conn, held: &[HoldKey], now: i64, tally: &mut Tally) -> Step<usize> {
    let mut ended = 0;
    for (owner, root, account) in held {
        if diesel::delete(holds::table.find((owner, *root))).execute(conn).await? == 0 {
            continue;
        }
        let row = dialect::lock_root(conn, *root).await?;
        unclaim(conn, row, *account, Claim::Hold, now, tally).await?;
        ended += 1;
    }
    Ok(ended)
}

/// End some of the holds whose time has come; how many.
pub(crate) async fn expire_holds(conn: &mut Conn, now: i64) -> Step<usize> {
    let over = holds::table.filter(holds::ends.is_not_null()).filter(holds::ends.le(now));
    let over: Vec<HoldKey> = over
        .order((holds::root, holds::owner))
        .limit(EXPIRED_AT_ONCE)
        .select((holds::owner, holds::root, holds::account))
        .load(conn)
        .await?;
    let mut tally = Tally::default();
    let ended = end(conn, &over, now, &mut tally).await?;
    tally.flush(conn).await?;
    Ok(ended)
}
