//! What blocking an account does to fetches that it alone wants, and what unblocking does.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use pinrail_domain::RootState;

use super::change::Change;
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect};
use crate::error::Step;
use crate::rows::{SORTED, State};
use crate::schema::{queue, roots};

/// No account that is not blocked wants the root of a row of `queue`, but perhaps the row's own.
const NO_OPEN_ACCOUNT_BESIDES: &str = "NOT EXISTS (SELECT 1 FROM queue AS others
    JOIN accounts ON accounts.key = others.account WHERE others.root = queue.root
    AND others.account <> queue.account AND others.requests > 0 AND accounts.blocked IS NULL)";

/// End the leases of fetches that `account`, which is blocked now, wanted and no open account wants.
pub(super) async fn end_fetches(conn: &mut Conn, account: i64) -> Step<()> {
    let leased = roots::table
        .inner_join(queue::table.on(queue::root.eq(roots::key)))
        .filter(roots::lease_token.is_not_null())
        .filter(roots::state.eq(State(RootState::Pinning)))
        .filter(queue::account.eq(account))
        .filter(queue::requests.gt(0))
        .filter(sql::<Bool>(NO_OPEN_ACCOUNT_BESIDES));
    let keys: Vec<i64> = leased.select(roots::key).order(roots::key + SORTED).load(conn).await?;
    let mut tally = Tally::default();
    for root in dialect::lock_each(conn, keys).await? {
        if root.work.is_unfinished() && root.work.lease_token.is_some() {
            let mut change = Change::of(root);
            change.work().end_lease();
            change.finish(conn, &mut tally).await?;
        }
    }
    tally.flush(conn).await
}

/// Make unfinished roots due at once that only blocked accounts wanted until `account` was unblocked.
///
/// There may be ten thousand of them, and the account's own requests wait meanwhile: they are locked by one query, and
/// no answer is waited for until the end.
pub(super) async fn resume_fetches(conn: &mut Conn, account: i64, now: i64) -> Step<()> {
    let wanted = queue::table.inner_join(roots::table.on(roots::key.eq(queue::root)));
    let wanted = wanted
        .filter(queue::account.eq(account))
        .filter(queue::requests.gt(0))
        .filter(roots::state.eq_any([State(RootState::Queued), State(RootState::Pinning)]))
        .filter(sql::<Bool>(NO_OPEN_ACCOUNT_BESIDES));
    let keys: Vec<i64> = wanted.select(queue::root).order(queue::root + SORTED).load(conn).await?;
    let mut tally = Tally::default();
    for root in dialect::lock_each(conn, keys).await? {
        if root.work.is_unfinished() {
            let mut change = Change::of(root);
            change.work().due = change.root.work.due.min(now);
            change.work().wanted_since = now;
            change.finish(conn, &mut tally).await?;
        }
    }
    tally.flush(conn).await
}
