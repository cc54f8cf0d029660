//! Rows of new requests that are yet to be written: those of many requests cost little more than those of one.

use std::collections::VecDeque;

use diesel::prelude::*;
use diesel::upsert::excluded;

use super::connection::Asked;
use super::dialect::greatest;
use crate::rows::{NewRoot, RequestRow};
use crate::schema::{pin_meta, pin_requests, queue, roots, service};
use crate::transfer::rows::{PinMeta, Queued};
use crate::written::{new_epoch, upsert_queued};

/// Rows that are yet to be written, each table's by as few statements as can be.
#[derive(Default)]
pub(super) struct Batch {
    /// Keys that the next new roots take.
    pub(super) keys: VecDeque<i64>,
    pub(super) requests: Vec<RequestRow>,
    pub(super) meta: Vec<PinMeta>,
    pub(super) queued: Vec<Queued>,
    roots: Vec<(i64, NewRoot)>,
}

impl Batch {
    /// Make a root under the next key that was taken for it; the key, if there is one.
    pub(super) fn make_root(&mut self, row: NewRoot) -> Option<i64> {
        let key = self.keys.pop_front()?;
        self.roots.push((key, row));
        Some(key)
    }

    /// The statements that write the rows, in an order in which none refers to a later one. Afterwards there are none.
    pub(super) fn take(&mut self) -> QueryResult<Vec<Asked>> {
        let mut asked = Vec::new();
        // Two groups that make the same roots do not wait for one another in a circle.
        self.roots.sort_unstable_by(|(_, one), (_, other)| one.name().cmp(&other.name()));
        in_portions(std::mem::take(&mut self.roots), |rows| {
            let row = |(key, row): (i64, NewRoot)| {
                let NewRoot { codec, multihash, work, epoch_before } = row;
                let key = (roots::key.eq(key), roots::codec.eq(codec), roots::multihash.eq(multihash));
                (key, work, roots::epoch.eq(new_epoch!(epoch_before)))
            };
            let rows: Vec<_> = rows.into_iter().map(row).collect();
            asked.push(Asked::of(&diesel::insert_into(roots::table).values(rows))?);
            Ok(())
        })?;
        in_portions(std::mem::take(&mut self.requests), |rows| {
            asked.push(Asked::of(&diesel::insert_into(pin_requests::table).values(rows))?);
            Ok(())
        })?;
        in_portions(std::mem::take(&mut self.meta), |rows| {
            asked.push(Asked::of(&diesel::insert_into(pin_meta::table).values(rows))?);
            Ok(())
        })?;
        in_portions(std::mem::take(&mut self.queued), |rows| {
            asked.push(Asked::of(&upsert_queued!(rows))?);
            Ok(())
        })?;
        Ok(asked)
    }
}

/// Do something with rows by portions of as many as a power of two: a statement's text tells how many rows it has, and
/// each text is prepared once.
pub(super) fn in_portions<T>(
    mut rows: Vec<T>,
    mut with_some: impl FnMut(Vec<T>) -> QueryResult<()>,
) -> QueryResult<()> {
    const LARGEST: usize = 128;
    while let Some(size) = rows.len().checked_ilog2() {
        let rest = rows.split_off((1 << size).min(LARGEST));
        with_some(std::mem::replace(&mut rows, rest))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portions(rows: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        let count = |some: Vec<usize>| {
            sizes.push(some.len());
            Ok(())
        };
        in_portions((0..rows).collect(), count).expect("nothing fails");
        sizes
    }

    #[test]
    fn portions_are_powers_of_two() {
        assert_eq!(portions(0), Vec::<usize>::new());
        assert_eq!(portions(1), [1]);
        assert_eq!(portions(13), [8, 4, 1]);
        assert_eq!(portions(300), [128, 128, 32, 8, 4]);
    }
}
