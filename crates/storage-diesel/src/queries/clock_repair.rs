//! Moments that lie in the future because a clock was ahead once: found for an operator's check, and brought back.

use diesel::dsl::{count_star, max};
use diesel::prelude::*;
use pinrail_spec::Timestamp;
use serde_json::json;

use super::audit::{Deed, note};
use super::transfer::end_all_leases;
use super::{Conn, RunQueryDsl};
use crate::clock_repair::Repaired;
use crate::convert::{look_up_text, moment};
use crate::error::TxResult;
use crate::rows::meta_of;
use crate::schema::{
    access_tokens, accounts, holds, nodes, pin_counts, pin_meta, pin_requests, queue, queue_accounts, roots, service,
};

/// Moments up to so many milliseconds ahead are nobody's concern: clocks differ.
const SLACK: i64 = 5 * 60_000;
/// A day in milliseconds: no root is due and no lease ends later than that from now.
const DAY: i64 = 24 * 60 * 60_000;
/// Requests of a page.
const PAGE: i64 = 500;

/// What lies in the future at `now`, a phrase each.
pub(crate) async fn find(conn: &mut Conn, now: Timestamp) -> TxResult<Vec<String>> {
    let limit = now.as_millis() + SLACK;
    let mut found = Vec::new();
    let ahead = accounts::table.filter(accounts::last_created.gt(limit));
    let (many, last): (i64, Option<i64>) =
        ahead.select((count_star(), max(accounts::last_created))).get_result(conn).await?;
    if let Some(last) = last {
        found.push(format!("{many} accounts give their next pins a time after {}", moment(last)));
    }
    let heard: i64 = nodes::table.filter(nodes::heartbeat.gt(limit)).count().get_result(conn).await?;
    if heard > 0 {
        found.push(format!("{heard} nodes were last heard of then"));
    }
    let due = roots::due.gt(limit + DAY).or(roots::lease_until.gt(limit + DAY));
    let due: i64 = roots::table.filter(due).count().get_result(conn).await?;
    if due > 0 {
        found.push(format!("{due} roots are due or leased until later than a day from now"));
    }
    Ok(found)
}

/// Bring all that lies in the future back to `now`, in one transaction that nobody else's comes between.
///
/// Requests keep their order and their accounts' `created` stays unique: those that were made in the future follow the
/// last one that was not, a millisecond apart, the newest at `now` where there is room for all of them.
pub(crate) async fn bring_back(conn: &mut Conn, by: &str, now: Timestamp) -> TxResult<Repaired> {
    let at = now.as_millis();
    let roots = bring_roots_back(conn, at).await?;
    end_all_leases(conn).await?;
    let ahead = accounts::table.filter(accounts::last_created.gt(at)).order(accounts::key).select(accounts::key);
    let ahead: Vec<i64> = ahead.load(conn).await?;
    let mut repaired = Repaired { now, accounts: ahead.len(), requests: 0, roots };
    for account in ahead {
        repaired.requests += bring_requests_back(conn, account, at).await?;
    }
    let heard = nodes::table.filter(nodes::heartbeat.gt(at));
    diesel::update(heard).set(nodes::heartbeat.eq(at)).execute(conn).await?;
    let used = access_tokens::table.filter(access_tokens::last_used.gt(at));
    diesel::update(used).set(access_tokens::last_used.eq(at)).execute(conn).await?;
    let clock = service::table.filter(service::clock.gt(at));
    diesel::update(clock).set(service::clock.eq(at)).execute(conn).await?;
    let details = json!({ "accounts": repaired.accounts, "requests": repaired.requests, "roots": roots });
    let subject = now.to_string();
    note(conn, Deed { by, action: "database repair-clock", subject, account: None, details }, now).await?;
    Ok(repaired)
}

/// Make roots due now that were due later, with a fresh time limit, and their places in queues; how many there were.
async fn bring_roots_back(conn: &mut Conn, at: i64) -> TxResult<usize> {
    let late = roots::table.filter(roots::due.gt(at));
    let many = diesel::update(late).set(roots::due.eq(at)).execute(conn).await?;
    let wanted = roots::table.filter(roots::wanted_since.gt(at));
    diesel::update(wanted).set(roots::wanted_since.eq(at)).execute(conn).await?;
    // Copied from the account's beginning once more, which changes nothing that was copied.
    let copied = roots::table.filter(roots::copied_created.gt(at));
    diesel::update(copied).set(roots::copied_created.eq(0)).execute(conn).await?;
    diesel::update(queue::table.filter(queue::due.gt(at))).set(queue::due.eq(at)).execute(conn).await?;
    let served = queue_accounts::table.filter(queue_accounts::last_served.gt(at));
    diesel::update(served).set(queue_accounts::last_served.eq(at)).execute(conn).await?;
    let held = holds::table.filter(holds::ends.gt(at + DAY));
    diesel::update(held).set(holds::ends.eq(at + DAY)).execute(conn).await?;
    Ok(many)
}

/// Give the requests of an account that were made in the future times that are past; how many there were.
async fn bring_requests_back(conn: &mut Conn, account: i64, at: i64) -> TxResult<usize> {
    let own = || pin_requests::table.filter(pin_requests::account.eq(account));
    let many: i64 = own().filter(pin_requests::created.gt(at)).count().get_result(conn).await?;
    let past = own().filter(pin_requests::created.le(at)).select(max(pin_requests::created));
    let past: Option<i64> = past.get_result(conn).await?;
    let first = past.unwrap_or(0).max(at - many);
    bring_counts_back(conn, account, at, first).await?;
    let (mut last, mut after) = (first, at);
    loop {
        let page = own().filter(pin_requests::created.gt(after)).order(pin_requests::created).limit(PAGE);
        let page: Vec<(i64, Option<String>)> =
            page.select((pin_requests::created, pin_requests::meta)).load(conn).await?;
        let Some((greatest, _)) = page.last() else { break };
        after = *greatest;
        for (created, meta) in page {
            last += 1;
            move_request(conn, account, (created, last), meta.as_deref()).await?;
        }
    }
    let row = diesel::update(accounts::table.find(account));
    row.set(accounts::last_created.eq(if many > 0 { last } else { past.unwrap_or(0) })).execute(conn).await?;
    Ok(usize::try_from(many).unwrap_or(0))
}

/// Change when a request was created. They are moved back in their order, so no other one has the new time any more.
async fn move_request(conn: &mut Conn, account: i64, (from, to): (i64, i64), meta: Option<&str>) -> TxResult<()> {
    for (key, value) in meta_of(meta)? {
        let pair = (account, look_up_text(&key).into_owned(), look_up_text(&value).into_owned(), from);
        diesel::update(pin_meta::table.find(pair)).set(pin_meta::created.eq(to)).execute(conn).await?;
    }
    let row = pin_requests::table.find((account, from));
    diesel::update(row).set(pin_requests::created.eq(to)).execute(conn).await?;
    Ok(())
}

/// Have the buckets of an account begin at the new times of their first requests, which are not moved yet.
async fn bring_counts_back(conn: &mut Conn, account: i64, at: i64, first: i64) -> TxResult<()> {
    let late = pin_counts::table.filter(pin_counts::account.eq(account)).filter(pin_counts::since.gt(at));
    let late: Vec<(i16, i64, String, i64)> =
        late.select((pin_counts::level, pin_counts::bucket, pin_counts::status, pin_counts::since)).load(conn).await?;
    for (level, bucket, status, since) in late {
        let before = pin_requests::table
            .filter(pin_requests::account.eq(account))
            .filter(pin_requests::created.gt(at))
            .filter(pin_requests::created.lt(since));
        let before: i64 = before.count().get_result(conn).await?;
        let row = pin_counts::table.find((account, level, bucket, status));
        diesel::update(row).set(pin_counts::since.eq(first + 1 + before)).execute(conn).await?;
    }
    Ok(())
}
