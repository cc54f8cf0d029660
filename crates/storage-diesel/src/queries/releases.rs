//! The end of a root: what follows when the last request or hold is gone, and when a node has unpinned it.

use diesel::prelude::*;
use pinrail_domain::RootState;

use super::change::Change;
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect};
use crate::error::{Failed, Step};
use crate::rows::Root;
use crate::schema::{nodes, queue, root_holders, root_progress, roots};

/// What an account no longer has on a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// A pin request.
    Request,
    /// The hold of a request that was replaced.
    Hold,
}

/// Take one claim of an account off a root, with all that follows.
pub(super) async fn unclaim(
    conn: &mut Conn,
    root: Root,
    account: i64,
    claim: Claim,
    now: i64,
    tally: &mut Tally,
) -> Step<()> {
    let mut change = Change::of(root);
    drop_claim(conn, &mut change, account, claim, tally).await?;
    change.work().refs -= 1;
    settle_claims(conn, &mut change, claim, now).await?;
    change.finish(conn, tally).await?;
    Ok(())
}

/// Take one claim out of the account's row in `queue`, the row too when it was the last, and out of its usage.
pub(super) async fn drop_claim(
    conn: &mut Conn,
    change: &mut Change,
    account: i64,
    claim: Claim,
    tally: &mut Tally,
) -> Step<()> {
    let row = queue::table.find((change.root.key, account));
    let (requests, holds): (i64, i64) = row.select((queue::requests, queue::holds)).get_result(conn).await?;
    let (requests, holds) = match claim {
        Claim::Request => (requests - 1, holds),
        Claim::Hold => (requests, holds - 1),
    };
    if requests < 0 || holds < 0 {
        return Err(Failed::corrupt("an account has fewer claims on a root than it gives up"));
    }
    if claim == Claim::Request {
        change.work().requests -= 1;
        let was_queued = requests == 0 && change.root.work.is_unfinished();
        tally.queued_roots(account, -i64::from(was_queued));
    }
    if requests + holds == 0 {
        tally.bytes(account, -change.was_counted(conn).await?);
        dialect::write_later(conn, diesel::delete(row)).await?;
    } else if requests == 0 {
        let left = (queue::requests.eq(requests), queue::holds.eq(holds), queue::due.eq(None::<i64>));
        dialect::write_later(conn, diesel::update(row).set(left)).await?;
    } else {
        let left = (queue::requests.eq(requests), queue::holds.eq(holds));
        dialect::write_later(conn, diesel::update(row).set(left)).await?;
    }
    Ok(())
}

/// What becomes of a root that has lost a claim: releasing without any, idle when holds alone are left.
pub(super) async fn settle_claims(conn: &mut Conn, change: &mut Change, lost: Claim, now: i64) -> Step<()> {
    let work = change.work();
    if work.refs == 0 {
        change.clear_progress(conn).await?;
        change.work().begin_anew(RootState::Releasing, now);
    } else if lost == Claim::Request && work.requests == 0 && work.is_unfinished() {
        work.end_lease();
        work.waiting = false;
        work.epoch += 1;
    }
    Ok(())
}

/// `node` has unpinned a root: the next node with a copy is to do so too, and without one the row goes.
pub(super) async fn released(conn: &mut Conn, root: Root, node: i64, now: i64, tally: &mut Tally) -> Step<()> {
    dialect::write_later(conn, diesel::delete(root_holders::table.find((root.key, node)))).await?;
    let further: Option<i64> = root_holders::table
        .inner_join(nodes::table.on(nodes::key.eq(root_holders::node)))
        .filter(root_holders::root.eq(root.key))
        .filter(nodes::retired.eq(false))
        .order(nodes::id)
        .select(nodes::key)
        .first(conn)
        .await
        .optional()?;
    let Some(next) = further else {
        tally.released(root.work.epoch);
        return delete_root(conn, root.key).await;
    };
    let mut change = Change::of(root);
    let work = change.work();
    work.end_lease();
    work.node = next;
    work.due = now;
    work.attempts = 0;
    change.finish(conn, tally).await?;
    Ok(())
}

async fn delete_root(conn: &mut Conn, key: i64) -> Step<()> {
    dialect::write_later(conn, diesel::delete(root_holders::table.filter(root_holders::root.eq(key)))).await?;
    dialect::write_later(conn, diesel::delete(root_progress::table.find(key))).await?;
    Ok(dialect::write_later(conn, diesel::delete(roots::table.find(key))).await?)
}
