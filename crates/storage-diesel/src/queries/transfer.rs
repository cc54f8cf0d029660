//! Whole tables, read in pages and written as they are, and what is made true of them where they arrive.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, SmallInt, Text};
use pinrail_domain::{LeaseKey, RootState};
use pinrail_spec::Timestamp;

use super::session::insert_all;
use super::unit_of_work::{RootsToLock, UnitOfWork};
use super::{Conn, RunQueryDsl};
use crate::convert::to_column;
use crate::error::TxResult;
use crate::rows::{self, State, Stored};
use crate::schema::{
    access_tokens, accounts, audit_log, holds, nodes, pin_counts, pin_meta, pin_requests, queue, queue_accounts,
    root_holders, root_progress, roots, service, signing_keys,
};

/// Rows that are read and written at once: of the largest, with the longest texts that requests may bring, a page
/// takes some 30 MiB.
const PAGE: i64 = 500;

/// How the rows of a table are read, by its primary key, and written.
macro_rules! stored {
    ($row:ident in $table:ident by $first:ident: $first_type:ty $(, $column:ident: $type:ty)*) => {
        impl Stored<Conn> for rows::$row {
            async fn page(conn: &mut Conn, after: Option<&Self>) -> QueryResult<Vec<Self>> {
                let mut page = $table::table.order(($table::$first, $($table::$column,)*)).limit(PAGE).into_boxed();
                if let Some(after) = after {
                    // One comparison of whole keys, which both databases find in the key's index.
                    let key = concat!("(", stringify!($first), $(", ", stringify!($column),)* ") > (");
                    let beyond = diesel::dsl::sql::<Bool>(key).bind::<$first_type, _>(after.$first.clone());
                    $(let beyond = beyond.sql(", ").bind::<$type, _>(after.$column.clone());)*
                    page = page.filter(beyond.sql(")"));
                }
                page.load(conn).await
            }

            async fn insert(conn: &mut Conn, rows: &[Self]) -> QueryResult<()> {
                insert_all!($table::table, rows, conn);
                Ok(())
            }

            async fn count(conn: &mut Conn) -> QueryResult<i64> {
                $table::table.count().get_result(conn).await
            }
        }
    };
}

stored!(ServiceRow in service by key: BigInt);
stored!(NodeRow in nodes by key: BigInt);
stored!(AccountRow in accounts by key: BigInt);
stored!(AuditRow in audit_log by key: BigInt);
stored!(KeyRow in signing_keys by id: BigInt);
stored!(TokenRow in access_tokens by id: Binary);
stored!(RootRow in roots by key: BigInt);
stored!(ProgressRow in root_progress by root: BigInt);
stored!(HolderRow in root_holders by root: BigInt, node: BigInt);
stored!(PinRequestRow in pin_requests by account: BigInt, created: BigInt);
stored!(MetaRow in pin_meta by account: BigInt, key: Text, value: Text, created: BigInt);
stored!(CountRow in pin_counts by account: BigInt, level: SmallInt, bucket: BigInt, status: Text);
stored!(HoldRow in holds by owner: Binary, root: BigInt);
stored!(QueueRow in queue by root: BigInt, account: BigInt);
stored!(ServedRow in queue_accounts by account: BigInt, node: BigInt);

/// End every lease: those who took them know another database.
pub(crate) async fn end_all_leases(conn: &mut Conn) -> TxResult<()> {
    loop {
        let leased = roots::table.filter(roots::lease_token.is_not_null()).order(roots::key).limit(PAGE);
        let leased: Vec<i64> = leased.select(roots::key).load(conn).await?;
        if leased.is_empty() {
            return Ok(());
        }
        let mut unit = UnitOfWork::lock(conn, RootsToLock::keyed(leased), &[]).await?;
        for key in unit.locked() {
            unit.change(key, |root| root.record.end_lease())?;
        }
        unit.flush(conn).await?;
    }
}

/// Note that `now` was reached.
pub(crate) async fn set_clock(conn: &mut Conn, now: Timestamp) -> TxResult<()> {
    let row = service::table.filter(service::clock.lt(now.as_millis()));
    diesel::update(row).set(service::clock.eq(now.as_millis())).execute(conn).await?;
    Ok(())
}

/// Remove the row that each migrated database begins with.
pub(crate) async fn remove_service(conn: &mut Conn) -> TxResult<()> {
    diesel::delete(service::table).execute(conn).await?;
    Ok(())
}

/// Raise the epochs of all roots, and that of those to come, above every one that can have been given out before `now`, also by a younger state
/// of this database: a node that was told one refuses those below it.
pub(crate) async fn raise_epochs(conn: &mut Conn, now: Timestamp) -> TxResult<()> {
    let epoch = to_column(LeaseKey::epoch_before(now));
    diesel::update(roots::table.filter(roots::epoch.lt(epoch))).set(roots::epoch.eq(epoch)).execute(conn).await?;
    let released = service::table.filter(service::released_epoch.lt(epoch));
    diesel::update(released).set(service::released_epoch.eq(epoch)).execute(conn).await?;
    Ok(())
}

/// Want every pinned root afresh, a page at a time; how many there were.
pub(crate) async fn requeue_pinned(conn: &mut Conn, now: Timestamp) -> TxResult<u64> {
    let (mut requeued, mut last) = (0, i64::MIN);
    loop {
        let pinned = roots::table.filter(roots::key.gt(last)).filter(roots::state.eq(State(RootState::Pinned)));
        let pinned: Vec<i64> = pinned.select(roots::key).order(roots::key).limit(PAGE).load(conn).await?;
        let Some(greatest) = pinned.last() else { return Ok(requeued) };
        last = *greatest;
        requeued += pinned.len() as u64;
        let mut unit = UnitOfWork::lock(conn, RootsToLock::keyed(pinned), &[]).await?;
        for key in unit.locked() {
            unit.want_afresh(key, now)?;
        }
        unit.flush(conn).await?;
    }
}
