//! What a monitoring system is told: bounded counts, and what is due for longest.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use pinrail_spec::{Status, Timestamp};
use pinrail_storage::{COUNTED_ROOTS, LongestDue, Statistics};

use super::{Conn, RunQueryDsl, dialect};
use crate::convert::moment;
use crate::error::TxResult;
use crate::schema::{accounts, nodes, pin_counts, queue, roots};

/// Accounts that wait and are looked at.
const ACCOUNTS: i64 = 1_000;
/// The level of counts whose buckets hold all requests of most accounts.
const LARGE: i16 = 1;

/// How the database and its queue stand at `now`.
pub(crate) async fn statistics(conn: &mut Conn, now: Timestamp) -> TxResult<Statistics> {
    let leased = roots::table.filter(roots::lease_token.is_not_null());
    Ok(Statistics {
        bytes: count(dialect::database_bytes(conn).await?),
        requests: requests(conn).await?,
        unfinished: count(
            nodes::table.select(sql::<BigInt>("CAST(COALESCE(SUM(load), 0) AS BIGINT)")).get_result(conn).await?,
        ),
        waiting: count_some(conn, "waiting").await?,
        releasing: count_some(conn, "state = 'releasing'").await?,
        leased: count(leased.count().get_result(conn).await?),
        longest_due: longest_due(conn, now.as_millis()).await?,
    })
}

/// Pin requests by their status.
async fn requests(conn: &mut Conn) -> TxResult<[u64; 4]> {
    let sums = pin_counts::table.filter(pin_counts::level.eq(LARGE)).group_by(pin_counts::status);
    let sum = sql::<BigInt>("CAST(SUM(n) AS BIGINT)");
    let sums: Vec<(String, i64)> = sums.select((pin_counts::status, sum)).load(conn).await?;
    let of = |status: Status| sums.iter().find(|(word, _)| word == status.as_str()).map_or(0, |(_, sum)| count(*sum));
    Ok(Status::ALL.map(of))
}

/// How many roots there are for which an index's own condition holds, as far as they are counted.
async fn count_some(conn: &mut Conn, condition: &str) -> TxResult<u64> {
    let some = roots::table.filter(sql::<Bool>(condition)).limit(i64::try_from(COUNTED_ROOTS).unwrap_or(i64::MAX));
    Ok(some.select(roots::key).load::<i64>(conn).await?.len() as u64)
}

/// What has been due for longest, by the ranks of queues.
async fn longest_due(conn: &mut Conn, now: i64) -> TxResult<LongestDue> {
    let mut longest = [None; 3];
    let all: Vec<i64> = nodes::table.filter(nodes::retired.eq(false)).select(nodes::key).load(conn).await?;
    for node in all {
        for (rank, longest) in (0..).zip(&mut longest) {
            let due = longest_due_of(conn, node, rank, now).await?;
            *longest = [*longest, due].into_iter().flatten().min();
        }
    }
    let [queued, pinning, retry] = longest.map(|due| due.map(moment));
    Ok(LongestDue { queued, pinning, retry })
}

/// The same of one node and rank: the first of each account, by the index of queues.
async fn longest_due_of(conn: &mut Conn, node: i64, rank: i16, now: i64) -> TxResult<Option<i64>> {
    let places = queue::table.filter(queue::account.eq(accounts::key)).filter(queue::node.eq(node));
    let due = places.filter(queue::rank.eq(rank)).filter(queue::due.is_not_null()).filter(queue::due.le(now));
    let first = due.order(queue::due).select(queue::due).limit(1).single_value();
    let waiting = accounts::table.filter(dialect::waits()).filter(accounts::blocked.is_null()).limit(ACCOUNTS);
    Ok(waiting.select(first).load::<Option<i64>>(conn).await?.into_iter().flatten().min())
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
