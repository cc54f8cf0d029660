//! How many requests match a filter of statuses and times: sums of counters, never a walk over the requests.

use diesel::dsl::{min, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::counter_deltas::BUCKET_SHIFTS;
use super::{Conn, RunQueryDsl};
use crate::error::TxResult;
use crate::rows::State;
use crate::schema::{pin_counts, pin_requests};

/// What `SUM` is cast to: on PostgreSQL the sum of bigints is numeric.
const SUM: &str = "CAST(COALESCE(SUM(n), 0) AS BIGINT)";

/// How many of the account's requests have one of `statuses` and were created before `before` and after `after`.
pub(crate) async fn count(
    conn: &mut Conn,
    account: i64,
    statuses: &[State],
    before: Option<i64>,
    after: Option<i64>,
) -> TxResult<i64> {
    let upper = match before {
        Some(before) => count_before(conn, account, statuses, before).await?,
        None => sum(conn, account, 1, statuses, 0, i64::MAX).await?,
    };
    let lower = match after {
        Some(after) => count_before(conn, account, statuses, after.saturating_add(1)).await?,
        None => 0,
    };
    Ok((upper - lower).max(0))
}

/// How many were created before `before`: whole large buckets, whole small ones, and part of one small one.
async fn count_before(conn: &mut Conn, account: i64, statuses: &[State], before: i64) -> TxResult<i64> {
    let last = pin_requests::table.filter(pin_requests::account.eq(account)).filter(pin_requests::created.lt(before));
    let last = last.order(pin_requests::created.desc()).select(pin_requests::ordinal);
    let Some(last): Option<i64> = last.first(conn).await.optional()? else { return Ok(0) };
    let [small, large] = BUCKET_SHIFTS.map(|shift| last >> shift);
    let first_small = large << (BUCKET_SHIFTS[1] - BUCKET_SHIFTS[0]);
    let whole =
        sum(conn, account, 1, statuses, 0, large).await? + sum(conn, account, 0, statuses, first_small, small).await?;
    Ok(whole + count_within(conn, account, statuses, small, before).await?)
}

/// The sum over the buckets of a level from `from` up to and without `to`.
async fn sum(conn: &mut Conn, account: i64, level: i16, statuses: &[State], from: i64, to: i64) -> TxResult<i64> {
    if from >= to {
        return Ok(0);
    }
    let buckets = pin_counts::table
        .filter(pin_counts::account.eq(account))
        .filter(pin_counts::level.eq(level))
        .filter(pin_counts::bucket.ge(from))
        .filter(pin_counts::bucket.lt(to))
        .filter(pin_counts::status.eq_any(words(statuses)));
    Ok(buckets.select(sql::<BigInt>(SUM)).get_result::<i64>(conn).await?)
}

/// How many requests of one small bucket were created before `before`, at most 1,024 entries of an index.
async fn count_within(conn: &mut Conn, account: i64, statuses: &[State], bucket: i64, before: i64) -> TxResult<i64> {
    let since = pin_counts::table
        .filter(pin_counts::account.eq(account))
        .filter(pin_counts::level.eq(0))
        .filter(pin_counts::bucket.eq(bucket))
        .filter(pin_counts::status.eq_any(words(statuses)));
    let Some(since): Option<i64> = since.select(min(pin_counts::since)).get_result(conn).await? else { return Ok(0) };
    Ok(pin_requests::table
        .filter(pin_requests::account.eq(account))
        .filter(pin_requests::status.eq_any(words(statuses)))
        .filter(pin_requests::created.ge(since))
        .filter(pin_requests::created.lt(before))
        .count()
        .get_result::<i64>(conn)
        .await?)
}

fn words(statuses: &[State]) -> Vec<&'static str> {
    statuses.iter().map(|status| status.0.as_str()).collect()
}
