//! What a transaction changes in the counters, gathered and written once at its end in the order of the keys.

use std::collections::BTreeMap;

use diesel::prelude::*;
use pinrail_domain::{RootState, Usage};

use super::{Conn, RunQueryDsl, dialect};
use crate::convert::from_column;
use crate::error::TxResult;
use crate::rows::{AccountRow, CountRow};
use crate::schema::{nodes, pin_counts, service};

/// Ordinals in a bucket of each level, as shifts: 1,024 and 1,048,576.
pub(crate) const BUCKET_SHIFTS: [u32; 2] = [10, 20];

/// What an account has more or less of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UsageDelta {
    pub(crate) requests: i64,
    pub(crate) queued_roots: i64,
    pub(crate) bytes: i64,
    /// By how much the last `created` that was given out is later.
    pub(crate) created: i64,
    /// How many ordinals were given out.
    pub(crate) ordinals: i64,
}

/// A row of `pin_counts`: account, level, bucket, and status.
type CountKey = (i64, i16, i64, &'static str);

/// How many requests more or less are in a bucket, and the oldest of those that came.
struct CountDelta {
    n: i64,
    since: i64,
}

/// Changes of counters that are not written yet.
#[derive(Default)]
pub(crate) struct CounterDeltas {
    usage: BTreeMap<i64, UsageDelta>,
    counts: BTreeMap<CountKey, CountDelta>,
    loads: BTreeMap<i64, i64>,
    /// The greatest epoch of a root whose row went.
    released: Option<i64>,
}

impl CounterDeltas {
    /// Count `change` requests more for `account`.
    pub(crate) fn requests(&mut self, account: i64, change: i64) {
        self.usage.entry(account).or_default().requests += change;
    }

    /// Count `change` bytes more for `account`.
    pub(crate) fn bytes(&mut self, account: i64, change: i64) {
        self.usage.entry(account).or_default().bytes += change;
    }

    /// Count queued roots and bytes of `account` as `now` instead of `before`.
    pub(crate) fn usage(&mut self, account: i64, before: (i64, i64), now: (i64, i64)) {
        let delta = self.usage.entry(account).or_default();
        delta.queued_roots += now.0 - before.0;
        delta.bytes += now.1 - before.1;
    }

    /// Give a request of `account` its `created`, which is `now` or right after the last one's, and its ordinal.
    pub(crate) fn issue(&mut self, account: &AccountRow, now: i64) -> (i64, i64) {
        let delta = self.usage.entry(account.key).or_default();
        let ordinal = account.next_ordinal + delta.ordinals;
        let created = now.max(account.last_created + delta.created + 1);
        delta.ordinals += 1;
        delta.created = created - account.last_created;
        (created, ordinal)
    }

    /// What an account uses, with what is not written yet.
    pub(crate) fn usage_of(&self, account: &AccountRow) -> Usage {
        let delta = self.usage.get(&account.key).copied().unwrap_or_default();
        Usage {
            requests: from_column(account.used_requests + delta.requests),
            queued_roots: from_column(account.used_queued_roots + delta.queued_roots),
            bytes: from_column(account.used_bytes + delta.bytes),
        }
    }

    /// Count `change` unfinished roots more on `node`.
    pub(crate) fn load(&mut self, node: i64, change: i64) {
        *self.loads.entry(node).or_default() += change;
    }

    /// How many unfinished roots more a node has than its row says.
    pub(crate) fn load_of(&self, node: i64) -> i64 {
        self.loads.get(&node).copied().unwrap_or_default()
    }

    /// Count `change` requests more with this status; the request is given as account, ordinal and `created`.
    pub(crate) fn count(&mut self, (account, ordinal, created): (i64, i64, i64), status: RootState, change: i64) {
        for (level, shift) in (0..).zip(BUCKET_SHIFTS) {
            let key = (account, level, ordinal >> shift, status.as_str());
            let delta = self.counts.entry(key).or_insert(CountDelta { n: 0, since: i64::MAX });
            delta.n += change;
            if change > 0 {
                delta.since = delta.since.min(created);
            }
        }
    }

    /// Note that the row of a root with this epoch went.
    pub(crate) fn released(&mut self, epoch: i64) {
        self.released = self.released.max(Some(epoch));
    }

    /// Write all of it.
    pub(crate) async fn flush(self, conn: &mut Conn) -> TxResult<()> {
        let usage = self.usage.into_iter().filter(|(_, delta)| *delta != UsageDelta::default());
        dialect::update_usage(conn, usage.collect()).await?;
        flush_counts(conn, self.counts).await?;
        for (node, change) in self.loads.into_iter().filter(|(_, change)| *change != 0) {
            let row = nodes::table.find(node);
            diesel::update(row).set(nodes::load.eq(nodes::load + change)).execute(conn).await?;
        }
        if let Some(epoch) = self.released {
            let row = service::table.filter(service::released_epoch.lt(epoch));
            diesel::update(row).set(service::released_epoch.eq(epoch)).execute(conn).await?;
        }
        Ok(())
    }
}

/// Write the counts in the order of their keys; those that came to nothing go.
async fn flush_counts(conn: &mut Conn, counts: BTreeMap<CountKey, CountDelta>) -> TxResult<()> {
    let fewer: Vec<CountKey> = counts.iter().filter(|(_, delta)| delta.n < 0).map(|(key, _)| *key).collect();
    let row = |((account, level, bucket, status), delta): (CountKey, CountDelta)| {
        let CountDelta { n, since } = delta;
        CountRow { account, level, bucket, status: status.to_owned(), n, since }
    };
    let is_change = |(_, delta): &(CountKey, CountDelta)| delta.n != 0 || delta.since != i64::MAX;
    dialect::add_counts(conn, counts.into_iter().filter(is_change).map(row).collect()).await?;
    for key in fewer {
        let empty = pin_counts::table.find(key).filter(pin_counts::n.eq(0));
        diesel::delete(empty).execute(conn).await?;
    }
    Ok(())
}
