//! What a step changes in the counters, gathered and written once at its end in the order of the keys.

use std::collections::BTreeMap;

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::upsert::excluded;
use pinrail_domain::{RootState, Usage};

use super::{Conn, RunQueryDsl, dialect};
use crate::columns::from_column;
use crate::error::Step;
use crate::fixed::fixed;
use crate::rows::AccountRow;
use crate::schema::{accounts, nodes, pin_counts, service};

/// Ordinals in a bucket of each level, as shifts: 1,024 and 1,048,576.
pub(super) const BUCKET_SHIFTS: [u32; 2] = [10, 20];

/// What an account has more or less of.
#[derive(Default)]
struct UsageChange {
    requests: i64,
    queued_roots: i64,
    bytes: i64,
    /// The `created` and the ordinal that were given out last.
    issued: Option<(i64, i64)>,
}

/// How many requests more or less stand in a bucket, and the oldest of those that came.
struct CountChange {
    n: i64,
    since: i64,
}

/// Changes of counters that a step has made and not written yet.
#[derive(Default)]
pub(super) struct Tally {
    usage: BTreeMap<i64, UsageChange>,
    counts: BTreeMap<(i64, i16, i64, &'static str), CountChange>,
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
        let (last, ordinal) = match change.issued {
            Some((created, ordinal)) => (created, ordinal + 1),
            None => (account.last_created, account.next_ordinal),
        };
        *change.issued.insert((now.max(last + 1), ordinal))
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
        for (account, change) in self.usage {
            flush_usage(conn, account, change).await?;
        }
        for (key, change) in self.counts {
            flush_count(conn, key, change).await?;
        }
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
        Ok(dialect::catch_up(conn).await?)
    }
}

async fn flush_usage(conn: &mut Conn, account: i64, change: UsageChange) -> Step<()> {
    let used = (
        accounts::used_requests.eq(accounts::used_requests + change.requests),
        accounts::used_queued_roots.eq(accounts::used_queued_roots + change.queued_roots),
        accounts::used_bytes.eq(accounts::used_bytes + change.bytes),
    );
    let row = diesel::update(accounts::table.find(account));
    if let Some((created, ordinal)) = change.issued {
        enum Issue {}
        let issued = (accounts::last_created.eq(created), accounts::next_ordinal.eq(ordinal + 1));
        dialect::write_later(conn, fixed::<Issue, _>(row.set((used, issued)))).await?;
    } else if change.requests != 0 || change.queued_roots != 0 || change.bytes != 0 {
        enum Use {}
        dialect::write_later(conn, fixed::<Use, _>(row.set(used))).await?;
    }
    Ok(())
}

async fn flush_count(
    conn: &mut Conn,
    (account, level, bucket, status): (i64, i16, i64, &'static str),
    change: CountChange,
) -> Step<()> {
    if change.n > 0 {
        enum CountMore {}
        let new = excluded(pin_counts::since);
        let earlier = case_when(new.lt(pin_counts::since), new).otherwise(pin_counts::since);
        let upsert = diesel::insert_into(pin_counts::table)
            .values((
                pin_counts::account.eq(account),
                pin_counts::level.eq(level),
                pin_counts::bucket.eq(bucket),
                pin_counts::status.eq(status),
                pin_counts::n.eq(change.n),
                pin_counts::since.eq(change.since),
            ))
            .on_conflict((pin_counts::account, pin_counts::level, pin_counts::bucket, pin_counts::status))
            .do_update()
            .set((pin_counts::n.eq(pin_counts::n + change.n), pin_counts::since.eq(earlier)));
        dialect::write_later(conn, fixed::<CountMore, _>(upsert)).await?;
        return Ok(());
    }
    let row = pin_counts::table.find((account, level, bucket, status));
    if change.since != i64::MAX {
        let later = pin_counts::table.find((account, level, bucket, status)).filter(pin_counts::since.gt(change.since));
        diesel::update(later).set(pin_counts::since.eq(change.since)).execute(conn).await?;
    }
    if change.n < 0 {
        enum CountLess {}
        let update = diesel::update(row).set(pin_counts::n.eq(pin_counts::n + change.n)).returning(pin_counts::n);
        let left: Option<i64> = fixed::<CountLess, _>(update).get_result(conn).await.optional()?;
        if left == Some(0) {
            diesel::delete(row).execute(conn).await?;
        }
    }
    Ok(())
}
