//! What blocking an account does to fetches that it alone wants, and what unblocking does.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use pinrail_domain::RootState;
use pinrail_spec::Timestamp;

use super::unit_of_work::{RootsToLock, UnitOfWork};
use super::{Conn, RunQueryDsl};
use crate::error::TxResult;
use crate::rows::State;
use crate::schema::{queue, roots};

/// No account that is not blocked wants the root of a row of `queue`, but perhaps the row's own.
const NO_OPEN_ACCOUNT_BESIDES: &str = "NOT EXISTS (SELECT 1 FROM queue AS others
    JOIN accounts ON accounts.key = others.account WHERE others.root = queue.root
    AND others.account <> queue.account AND others.requests > 0 AND accounts.blocked IS NULL)";

/// End the leases of fetches that `account`, which is blocked now, wanted and no open account wants.
pub(crate) async fn end_fetches(conn: &mut Conn, account: i64) -> TxResult<()> {
    let leased = roots::table
        .inner_join(queue::table.on(queue::root.eq(roots::key)))
        .filter(roots::lease_token.is_not_null())
        .filter(roots::state.eq(State(RootState::Pinning)))
        .filter(queue::account.eq(account))
        .filter(queue::requests.gt(0))
        .filter(sql::<Bool>(NO_OPEN_ACCOUNT_BESIDES));
    let keys: Vec<i64> = leased.select(roots::key).load(conn).await?;
    let mut unit = UnitOfWork::lock(conn, RootsToLock::keyed(keys), &[]).await?;
    for key in unit.locked() {
        if unit.root(key)?.record.is_unfinished() {
            unit.change(key, |root| root.record.end_lease())?;
        }
    }
    unit.flush(conn).await
}

/// Make unfinished roots due at once that only blocked accounts wanted until `account` was unblocked.
pub(crate) async fn resume_fetches(conn: &mut Conn, account: i64, now: Timestamp) -> TxResult<()> {
    let wanted = queue::table.inner_join(roots::table.on(roots::key.eq(queue::root)));
    let wanted = wanted
        .filter(queue::account.eq(account))
        .filter(queue::requests.gt(0))
        .filter(roots::state.eq_any([State(RootState::Queued), State(RootState::Pinning)]))
        .filter(sql::<Bool>(NO_OPEN_ACCOUNT_BESIDES));
    let keys: Vec<i64> = wanted.select(queue::root).load(conn).await?;
    let mut unit = UnitOfWork::lock(conn, RootsToLock::keyed(keys), &[]).await?;
    for key in unit.locked() {
        if unit.root(key)?.record.is_unfinished() {
            unit.change(key, |root| root.record.resume(now))?;
        }
    }
    unit.flush(conn).await
}
