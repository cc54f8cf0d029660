//! Rows of new requests that are yet to be written: those of many requests cost little more than those of one.

use std::collections::VecDeque;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::upsert::excluded;

use super::asked::Asked;
use super::together::Together;
use crate::rows::{NewRoot, RequestRow};
use crate::schema::{pin_meta, pin_requests, queue, roots};
use crate::transfer::rows::{PinMeta, Queued};
use crate::written::upsert_queued;

/// Rows that are yet to be written, each table's by one statement.
#[derive(Default)]
pub(super) struct Batch {
    /// Keys that the next new roots take.
    pub(super) keys: VecDeque<i64>,
    roots: Vec<(i64, NewRoot)>,
    requests: Together,
    meta: Together,
    queued: Together,
}

impl Batch {
    /// Make a root under the next key that was taken for it; the key, if there is one.
    pub(super) fn make_root(&mut self, row: NewRoot) -> Option<i64> {
        let key = self.keys.pop_front()?;
        self.roots.push((key, row));
        Some(key)
    }

    pub(super) fn add_request(&mut self, row: RequestRow) -> QueryResult<()> {
        self.requests.add(&diesel::insert_into(pin_requests::table).values(row))
    }

    pub(super) fn add_meta(&mut self, row: PinMeta) -> QueryResult<()> {
        self.meta.add(&diesel::insert_into(pin_meta::table).values(row))
    }

    pub(super) fn add_queued(&mut self, row: Queued) -> QueryResult<()> {
        self.queued.add(&upsert_queued!(row))
    }

    /// The statements that write the rows, in an order in which none refers to a later one. Afterwards there are none.
    pub(super) fn take(&mut self) -> QueryResult<Vec<Asked>> {
        let mut made = Together::default();
        // Two groups that make the same roots do not wait for one another in a circle.
        self.roots.sort_unstable_by(|(_, one), (_, other)| one.name().cmp(&other.name()));
        for (key, row) in self.roots.drain(..) {
            let NewRoot { codec, multihash, work, epoch_before } = row;
            let key = (roots::key.eq(key), roots::codec.eq(codec), roots::multihash.eq(multihash));
            // Above that of every root whose row went. It is chosen here, so that no row can go in between.
            let epoch = sql::<BigInt>("(SELECT greatest(released_epoch, ").bind::<BigInt, _>(epoch_before);
            let epoch = roots::epoch.eq(epoch.sql(") + 1 FROM service)"));
            made.add(&diesel::insert_into(roots::table).values((key, work, epoch)))?;
        }
        let tables = [&mut made, &mut self.requests, &mut self.meta, &mut self.queued];
        tables.into_iter().filter_map(|rows| rows.take().transpose()).collect()
    }
}
