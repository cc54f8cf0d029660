//! How many requests match a filter of statuses and times: sums of counters, never a walk over the requests.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::tally::BUCKET_SHIFTS;
use crate::error::Step;
use crate::rows::State;
use crate::schema::{pin_counts, pin_requests};

/// What `SUM` is cast to: on PostgreSQL the sum of bigints is numeric.
const SUM: &str = "CAST(COALESCE(SUM(n), 0) AS BIGINT)";

/// How many of the account's requests have one of `statuses` and were created before `before` and after `after`.
pub(super) async fn count(
    conn: &mut Conn,
    account: i64,
    statuses: &[State],
    before: Option<i64>,
    after: Option<i64>,
) -> Step<i64> {
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
async fn count_before(conn: &mut Conn, account: i64, statuses: &[State], before: i64) -> Step<i64> {
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
async fn sum(conn: &mut Conn, account: i64, level: i16, statuses: &[State], from: i64, to: i64) -> Step<i64> {
    if from >= to {
        return Ok(0);
    }
    let mut sum = 0;
    for status in statuses {
        let buckets = pin_counts::table
            .filter(pin_counts::account.eq(account))
            .filter(pin_counts::level.eq(level))
            .filter(pin_counts::bucket.ge(from))
            .filter(pin_counts::bucket.lt(to))
            .filter(pin_counts::status.eq(status.0.as_str()));
        sum += buckets.select(sql::<BigInt>(SUM)).get_result::<i64>(conn).await?;
    }
    Ok(sum)
}

/// How many requests of one small bucket were created before `before`, at most 1,024 entries of an index.
async fn count_within(conn: &mut Conn, account: i64, statuses: &[State], bucket: i64, before: i64) -> Step<i64> {
    let mut count = 0;
    for status in statuses {
        let since = pin_counts::table.find((account, 0, bucket, status.0.as_str())).select(pin_counts::since);
        let Some(since): Option<i64> = since.get_result(conn).await.optional()? else { continue };
        count += pin_requests::table
            .filter(pin_requests::account.eq(account))
            .filter(pin_requests::status.eq(status))
            .filter(pin_requests::created.ge(since))
            .filter(pin_requests::created.lt(before))
            .count()
            .get_result::<i64>(conn)
            .await?;
    }
    Ok(count)
}
