//! Whole tables, read in pages and written as they are, and what is made true of them where they arrive.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, SmallInt, Text};
use pinrail_domain::{LeaseKey, RootState};
use pinrail_spec::Timestamp;

use super::change::{Change, want_afresh};
use super::session::insert_all;
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect};
use crate::columns::to_column;
use crate::error::Step;
use crate::rows::State;
use crate::schema::{
    access_tokens, accounts, audit_log, holds, nodes, pin_counts, pin_meta, pin_requests, queue, queue_accounts,
    root_holders, root_progress, roots, service, signing_keys,
};
use crate::transfer::rows::{self, Stored};

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

stored!(Service in service by key: BigInt);
stored!(Node in nodes by key: BigInt);
stored!(Account in accounts by key: BigInt);
stored!(AuditEntry in audit_log by key: BigInt);
stored!(SigningKey in signing_keys by id: BigInt);
stored!(AccessToken in access_tokens by id: Binary);
stored!(Root in roots by key: BigInt);
stored!(RootProgress in root_progress by root: BigInt);
stored!(RootHolder in root_holders by root: BigInt, node: BigInt);
stored!(PinRequest in pin_requests by account: BigInt, created: BigInt);
stored!(PinMeta in pin_meta by account: BigInt, key: Text, value: Text, created: BigInt);
stored!(PinCount in pin_counts by account: BigInt, level: SmallInt, bucket: BigInt, status: Text);
stored!(Hold in holds by owner: Binary, root: BigInt);
stored!(Queued in queue by root: BigInt, account: BigInt);
stored!(QueueAccount in queue_accounts by account: BigInt, node: BigInt);

/// End every lease: those who took them know another database.
pub(crate) async fn end_all_leases(conn: &mut Conn) -> Step<()> {
    let leased: Vec<i64> =
        roots::table.filter(roots::lease_token.is_not_null()).select(roots::key).order(roots::key).load(conn).await?;
    let mut tally = Tally::default();
    for key in leased {
        let mut change = Change::of(dialect::lock_root(conn, key).await?);
        change.work().end_lease();
        change.finish(conn, &mut tally).await?;
    }
    tally.flush(conn).await
}

/// Note that `now` was reached.
pub(crate) async fn set_clock(conn: &mut Conn, now: Timestamp) -> Step<()> {
    let row = service::table.filter(service::clock.lt(now.as_millis()));
    diesel::update(row).set(service::clock.eq(now.as_millis())).execute(conn).await?;
    Ok(())
}

/// Remove the row that each migrated database begins with.
pub(crate) async fn remove_service(conn: &mut Conn) -> Step<()> {
    diesel::delete(service::table).execute(conn).await?;
    Ok(())
}

/// Raise the epochs of all roots, and that of those to come, above every one that can have been given out before `now`, also by a younger state
/// of this database: a node that was told one refuses those below it.
pub(crate) async fn raise_epochs(conn: &mut Conn, now: Timestamp) -> Step<()> {
    let epoch = to_column(LeaseKey::epoch_before(now));
    diesel::update(roots::table.filter(roots::epoch.lt(epoch))).set(roots::epoch.eq(epoch)).execute(conn).await?;
    let released = service::table.filter(service::released_epoch.lt(epoch));
    diesel::update(released).set(service::released_epoch.eq(epoch)).execute(conn).await?;
    Ok(())
}

/// Want every pinned root afresh, a page at a time; how many there were.
pub(crate) async fn requeue_pinned(conn: &mut Conn, now: Timestamp) -> Step<u64> {
    let (mut requeued, mut last) = (0, i64::MIN);
    loop {
        let pinned = roots::table.filter(roots::key.gt(last)).filter(roots::state.eq(State(RootState::Pinned)));
        let pinned: Vec<i64> = pinned.select(roots::key).order(roots::key).limit(PAGE).load(conn).await?;
        let Some(greatest) = pinned.last() else { return Ok(requeued) };
        last = *greatest;
        let mut tally = Tally::default();
        for key in pinned {
            let mut change = Change::of(dialect::lock_root(conn, key).await?);
            want_afresh(conn, &mut change, now.as_millis()).await?;
            change.finish(conn, &mut tally).await?;
            requeued += 1;
        }
        tally.flush(conn).await?;
    }
}
