//! What blocking an account does to fetches that it alone wants, and what unblocking does.

use diesel::prelude::*;

use super::change::Change;
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect};
use crate::error::Step;
use crate::rows::{Root, State};
use crate::schema::{accounts, queue, roots};
use pinrail_domain::RootState;

/// End the leases of fetches that `account`, which is blocked now, wanted and no open account wants.
pub(super) async fn end_fetches(conn: &mut Conn, account: i64) -> Step<()> {
    let leased = roots::table
        .inner_join(queue::table.on(queue::root.eq(roots::key)))
        .filter(roots::lease_token.is_not_null())
        .filter(roots::state.eq(State(RootState::Pinning)))
        .filter(queue::account.eq(account))
        .filter(queue::requests.gt(0));
    let keys: Vec<i64> = leased.select(roots::key).order(roots::key).load(conn).await?;
    let mut tally = Tally::default();
    for key in keys {
        if has_open_account(conn, key, account).await? {
            continue;
        }
        let root = dialect::lock_root(conn, key).await.optional()?;
        let Some(root) = root.filter(|root| root.work.is_unfinished() && root.work.lease_token.is_some()) else {
            continue;
        };
        let mut change = Change::of(root);
        change.work().end_lease();
        change.finish(conn, &mut tally).await?;
    }
    tally.flush(conn).await
}

/// Make unfinished roots due at once that only blocked accounts wanted until `account` was unblocked.
pub(super) async fn resume_fetches(conn: &mut Conn, account: i64, now: i64) -> Step<()> {
    let wanted = queue::table.inner_join(roots::table.on(roots::key.eq(queue::root)));
    let wanted = wanted.filter(queue::account.eq(account)).filter(queue::requests.gt(0));
    let wanted = wanted.filter(roots::state.eq_any([State(RootState::Queued), State(RootState::Pinning)]));
    let keys: Vec<i64> = wanted.select(queue::root).order(queue::root).load(conn).await?;
    let mut tally = Tally::default();
    for key in keys {
        if has_open_account(conn, key, account).await? {
            continue;
        }
        let root: Option<Root> = dialect::lock_root(conn, key).await.optional()?;
        let Some(root) = root.filter(|root| root.work.is_unfinished()) else { continue };
        let mut change = Change::of(root);
        let due = change.root.work.due;
        change.work().due = due.min(now);
        change.work().wanted_since = now;
        change.finish(conn, &mut tally).await?;
    }
    tally.flush(conn).await
}

/// Whether an account other than `besides` that is not blocked wants a root.
async fn has_open_account(conn: &mut Conn, root: i64, besides: i64) -> Step<bool> {
    let open = queue::table
        .inner_join(accounts::table.on(accounts::key.eq(queue::account)))
        .filter(queue::root.eq(root))
        .filter(queue::requests.gt(0))
        .filter(queue::account.ne(besides))
        .filter(accounts::blocked.is_null());
    Ok(diesel::select(diesel::dsl::exists(open)).get_result(conn).await?)
}
