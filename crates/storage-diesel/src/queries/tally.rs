//! What a step changes in the counters, gathered and written once at its end in the order of the keys.

use std::collections::BTreeMap;

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::upsert::excluded;
use pinrail_domain::{RootState, Usage};

use super::{Conn, dialect};
use crate::columns::from_column;
use crate::error::Step;
use crate::fixed::fixed;
use crate::rows::AccountRow;
use crate::schema::{accounts, nodes, pin_counts, service};
use crate::transfer::rows::PinCount;

/// Ordinals in a bucket of each level, as shifts: 1,024 and 1,048,576.
pub(super) const BUCKET_SHIFTS: [u32; 2] = [10, 20];

/// What an account has more or less of.
#[derive(Default)]
struct UsageChange {
    requests: i64,
    queued_roots: i64,
    bytes: i64,
    /// By how much the last `created` that was given out is later.
    created: i64,
    /// How many ordinals were given out.
    ordinals: i64,
}

impl UsageChange {
    const fn is_none(&self) -> bool {
        self.requests == 0 && self.queued_roots == 0 && self.bytes == 0 && self.ordinals == 0
    }
}

/// A row of `pin_counts`: account, level, bucket, and status.
type CountKey = (i64, i16, i64, &'static str);

/// How many requests more or less stand in a bucket, and the oldest of those that came.
struct CountChange {
    n: i64,
    since: i64,
}

/// Changes of counters that a step has made and not written yet.
#[derive(Default)]
pub(super) struct Tally {
    usage: BTreeMap<i64, UsageChange>,
    counts: BTreeMap<CountKey, CountChange>,
    loads: BTreeMap<i64, i64>,
    /// The greatest epoch of a root whose row went.
    released: Option<i64>,
}

impl Tally {
    /// `change` requests more for `account`.
    pub(super) fn requests(&mut self, account: i64, change: i64) {
        self.usage.entry(account).or_default().requests += change;
    }

    /// Give a request of `account` its `created`, which is `now` or right after the last one's, and its ordinal.
    pub(super) fn issue(&mut self, account: &AccountRow, now: i64) -> (i64, i64) {
        let change = self.usage.entry(account.key).or_default();
        let ordinal = account.next_ordinal + change.ordinals;
        let created = now.max(account.last_created + change.created + 1);
        change.ordinals += 1;
        change.created = created - account.last_created;
        (created, ordinal)
    }

    /// What an account uses with what is not written yet.
    pub(super) fn usage(&self, account: &AccountRow) -> Usage {
        let Some(change) = self.usage.get(&account.key) else { return account.usage() };
        Usage {
            requests: from_column(account.used_requests + change.requests),
            queued_roots: from_column(account.used_queued_roots + change.queued_roots),
            bytes: from_column(account.used_bytes + change.bytes),
        }
    }

    /// How many unfinished roots more a node has than its row says.
    pub(super) fn load_of(&self, node: i64) -> i64 {
        self.loads.get(&node).copied().unwrap_or_default()
    }

    /// `change` unfinished roots more for `account`.
    pub(super) fn queued_roots(&mut self, account: i64, change: i64) {
        self.usage.entry(account).or_default().queued_roots += change;
    }

    /// `change` bytes more for `account`.
    pub(super) fn bytes(&mut self, account: i64, change: i64) {
        self.usage.entry(account).or_default().bytes += change;
    }

    /// `change` unfinished roots more on `node`.
    pub(super) fn load(&mut self, node: i64, change: i64) {
        *self.loads.entry(node).or_default() += change;
    }

    /// `change` requests more with this status; this one has `ordinal` and `created`.
    pub(super) fn count(&mut self, account: i64, ordinal: i64, created: i64, status: RootState, change: i64) {
        for (level, shift) in (0..).zip(BUCKET_SHIFTS) {
            let key = (account, level, ordinal >> shift, status.as_str());
            let entry = self.counts.entry(key).or_insert(CountChange { n: 0, since: i64::MAX });
            entry.n += change;
            if change > 0 {
                entry.since = entry.since.min(created);
            }
        }
    }

    /// The row of a root with this epoch is gone.
    pub(super) fn released(&mut self, epoch: i64) {
        self.released = self.released.max(Some(epoch));
    }

    /// Write all of it.
    pub(super) async fn flush(self, conn: &mut Conn) -> Step<()> {
        flush_usage(conn, self.usage).await?;
        flush_counts(conn, self.counts).await?;
        for (node, change) in self.loads.into_iter().filter(|(_, change)| *change != 0) {
            enum AddLoad {}
            let row = nodes::table.find(node);
            let update = diesel::update(row).set(nodes::load.eq(nodes::load + change));
            dialect::write_later(conn, fixed::<AddLoad, _>(update)).await?;
        }
        if let Some(epoch) = self.released {
            let row = service::table.filter(service::released_epoch.lt(epoch));
            let update = diesel::update(row).set(service::released_epoch.eq(epoch));
            dialect::write_later(conn, update).await?;
        }
        Ok(())
    }
}

async fn flush_usage(conn: &mut Conn, usage: BTreeMap<i64, UsageChange>) -> Step<()> {
    enum Use {}
    let updates = usage.into_iter().filter(|(_, change)| !change.is_none()).map(|(account, change)| {
        fixed::<Use, _>(diesel::update(accounts::table.find(account)).set((
            accounts::used_requests.eq(accounts::used_requests + change.requests),
            accounts::used_queued_roots.eq(accounts::used_queued_roots + change.queued_roots),
            accounts::used_bytes.eq(accounts::used_bytes + change.bytes),
            accounts::last_created.eq(accounts::last_created + change.created),
            accounts::next_ordinal.eq(accounts::next_ordinal + change.ordinals),
        )))
    });
    Ok(dialect::write_each(conn, updates).await?)
}

/// Write the counts in the order of their keys, those that grow and follow one another together.
async fn flush_counts(conn: &mut Conn, counts: BTreeMap<CountKey, CountChange>) -> Step<()> {
    let mut more = Vec::new();
    for (key, change) in counts {
        if change.n > 0 {
            let (account, level, bucket, status) = key;
            let status = status.to_owned();
            more.push(PinCount { account, level, bucket, status, n: change.n, since: change.since });
        } else {
            count_more(conn, std::mem::take(&mut more)).await?;
            count_less(conn, key, &change).await?;
        }
    }
    count_more(conn, more).await
}

/// Count more requests in buckets, since the oldest of them.
async fn count_more(conn: &mut Conn, rows: Vec<PinCount>) -> Step<()> {
    enum CountMore {}
    let queries = rows.into_iter().map(|row| {
        let since = excluded(pin_counts::since);
        let sum = (
            pin_counts::n.eq(pin_counts::n + excluded(pin_counts::n)),
            pin_counts::since.eq(case_when(since.lt(pin_counts::since), since).otherwise(pin_counts::since)),
        );
        let bucket = (pin_counts::account, pin_counts::level, pin_counts::bucket, pin_counts::status);
        let insert = diesel::insert_into(pin_counts::table).values(row);
        fixed::<CountMore, _>(insert.on_conflict(bucket).do_update().set(sum))
    });
    Ok(dialect::write_each(conn, queries).await?)
}

/// Count as many requests as before, or fewer.
async fn count_less(conn: &mut Conn, key: CountKey, change: &CountChange) -> Step<()> {
    let row = pin_counts::table.find(key);
    if change.since != i64::MAX {
        enum CountSince {}
        let later = diesel::update(row.filter(pin_counts::since.gt(change.since)));
        dialect::write_later(conn, fixed::<CountSince, _>(later.set(pin_counts::since.eq(change.since)))).await?;
    }
    if change.n < 0 {
        enum CountLess {}
        let fewer = diesel::update(row).set(pin_counts::n.eq(pin_counts::n + change.n));
        dialect::write_later(conn, fixed::<CountLess, _>(fewer)).await?;
        dialect::write_later(conn, diesel::delete(row.filter(pin_counts::n.eq(0)))).await?;
    }
    Ok(())
}
