//! What becomes of leased roots: progress and verdicts.

use std::time::Duration;

use diesel::prelude::*;
use pinrail_domain::{DagSize, LeaseKey, RootFailure, RootState, Verdict};
use pinrail_spec::Timestamp;
use pinrail_storage::{ProgressReport, Settlement, StorageError};

use super::change::{Change, received};
use super::known::KnownRoots;
use super::leases::held;
use super::releases::released;
use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect, holds};
use crate::columns::{json_text, to_column};
use crate::error::{Failed, Step};
use crate::rows::{Root, State, Work};
use crate::schema::{queue, root_progress};

/// How long the root of a replaced request outlives the failure of the one that replaced it.
const HELD_AFTER_FAILURE: Duration = Duration::from_hours(24);

/// Note how far fetches have come.
pub(crate) async fn report_progress(conn: &mut Conn, reports: &[ProgressReport]) -> Step<()> {
    let mut known = lock(conn, reports.iter().map(|report| &report.lease)).await?;
    let mut tally = Tally::default();
    for report in reports {
        let fetched = held(conn, &report.lease, &mut known).await?.filter(|root| root.work.is_unfinished());
        if let Some(root) = fetched {
            note_progress(conn, &root, report, &mut tally).await?;
        }
    }
    tally.flush(conn).await
}

async fn note_progress(conn: &mut Conn, root: &Root, report: &ProgressReport, tally: &mut Tally) -> Step<()> {
    let before = to_column(received(conn, root).await?.counted_bytes());
    let after = to_column(report.progress.counted_bytes());
    let (blocks, bytes) = (to_column(report.progress.blocks), to_column(report.progress.bytes));
    let columns = (root_progress::blocks.eq(blocks), root_progress::bytes.eq(bytes));
    let upsert = diesel::insert_into(root_progress::table)
        .values((root_progress::root.eq(root.key), columns))
        .on_conflict(root_progress::root)
        .do_update()
        .set(columns);
    dialect::write_later(conn, upsert).await?;
    if after != before {
        let accounts: Vec<i64> =
            queue::table.filter(queue::root.eq(root.key)).select(queue::account).load(conn).await?;
        for account in accounts {
            tally.bytes(account, after - before);
        }
    }
    Ok(())
}

/// Lock the accounts that what becomes of these leases counts for, and the roots: accounts before roots, as everywhere.
async fn lock(conn: &mut Conn, leases: impl Iterator<Item = &LeaseKey> + Clone) -> Step<KnownRoots> {
    let roots = leases.map(|lease| &lease.root);
    dialect::lock_accounts_of(conn, roots.clone()).await?;
    KnownRoots::lock(conn, roots).await
}

/// Settle leases, each on its own.
pub(crate) async fn settle(
    conn: &mut Conn,
    settlements: &[Settlement],
    now: Timestamp,
) -> Step<Vec<Result<(), StorageError>>> {
    let mut known = lock(conn, settlements.iter().map(|settlement| &settlement.lease)).await?;
    let mut tally = Tally::default();
    let mut settled = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        settled.push(match settle_one(conn, settlement, now, &mut known, &mut tally).await {
            Ok(()) => Ok(()),
            Err(Failed::Refused(StorageError::LeaseLost)) => Err(StorageError::LeaseLost),
            Err(failed) => return Err(failed),
        });
    }
    tally.flush(conn).await?;
    Ok(settled)
}

/// Settle one lease; nothing is written when it is lost.
async fn settle_one(
    conn: &mut Conn,
    settlement: &Settlement,
    now: Timestamp,
    known: &mut KnownRoots,
    tally: &mut Tally,
) -> Step<()> {
    let root = held(conn, &settlement.lease, known).await?.ok_or(StorageError::LeaseLost)?;
    let is_release = root.work.state.0 == RootState::Releasing;
    match (&settlement.verdict, is_release) {
        (Verdict::Pinned { size }, false) => {
            if pinned(conn, root, *size, now, tally).await? {
                known.forget();
            }
            Ok(())
        }
        (Verdict::Failed { failure }, false) => fail(conn, root, failure, now, tally).await,
        (Verdict::Retry { due, failure }, _) => {
            let failure = json_text(failure)?;
            let retry = |work: &mut Work| {
                work.put_off(next_try(work, *due, now));
                work.failure = Some(failure);
            };
            put_off(conn, root, retry, tally).await
        }
        (Verdict::Wait { due, failure }, false) => {
            let failure = json_text(failure)?;
            let wait = |work: &mut Work| {
                work.put_off(next_try(work, *due, now));
                work.failure = Some(failure);
                work.attempts = (work.attempts - 1).max(0);
                work.waiting = true;
            };
            put_off(conn, root, wait, tally).await
        }
        (Verdict::Pause { due, storage_full }, _) => {
            let pause = |work: &mut Work| {
                work.put_off(due.as_millis());
                work.attempts = (work.attempts - 1).max(0);
                work.retry = !storage_full && work.failure.is_some();
                work.paused = *storage_full;
            };
            put_off(conn, root, pause, tally).await
        }
        (Verdict::Released, true) => {
            let node = root.work.node;
            released(conn, root, node, now.as_millis(), tally).await
        }
        (Verdict::Pinned { .. } | Verdict::Failed { .. } | Verdict::Wait { .. }, true) | (Verdict::Released, false) => {
            Err(StorageError::LeaseLost.into())
        }
    }
}

/// Note that a root is pinned; whether that ended holds on others.
async fn pinned(conn: &mut Conn, root: Root, size: DagSize, now: Timestamp, tally: &mut Tally) -> Step<bool> {
    let mut change = Change::of(root);
    change.clear_progress(conn).await?;
    change.work().be_pinned(to_column(size.blocks), to_column(size.bytes));
    let root = change.finish(conn, tally).await?;
    holds::end_holds_awaiting(conn, root.key, now.as_millis(), tally).await
}

async fn fail(conn: &mut Conn, root: Root, failure: &RootFailure, now: Timestamp, tally: &mut Tally) -> Step<()> {
    let mut change = Change::of(root);
    let work = change.work();
    work.end_lease();
    work.state = State(RootState::Failed);
    work.failure = Some(json_text(failure)?);
    let root = change.finish(conn, tally).await?;
    holds::end_later(conn, root.key, Some((now + HELD_AFTER_FAILURE).as_millis())).await
}

/// When to try again: at once where a request came since the lease was taken, whose origins the attempt may not have asked.
fn next_try(work: &Work, due: Timestamp, now: Timestamp) -> i64 {
    let asked_since = !work.retry && work.is_unfinished();
    if asked_since { now.as_millis() } else { due.as_millis() }
}

async fn put_off(conn: &mut Conn, root: Root, how: impl FnOnce(&mut Work), tally: &mut Tally) -> Step<()> {
    let mut change = Change::of(root);
    how(change.work());
    change.finish(conn, tally).await?;
    Ok(())
}
