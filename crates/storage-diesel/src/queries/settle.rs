//! What becomes of leased roots: progress and verdicts.

use diesel::prelude::*;
use pinrail_domain::{LeaseKey, Settled, Verdict};
use pinrail_spec::Timestamp;
use pinrail_storage::{ProgressReport, Settlement, StorageError};

use super::leases::held;
use super::unit_of_work::{RootsToLock, UnitOfWork};
use super::{Conn, RunQueryDsl, dialect};
use crate::error::{TxError, TxResult};
use crate::schema::{nodes, root_holders};

/// Note how far fetches have come.
pub(crate) async fn report_progress(conn: &mut Conn, reports: &[ProgressReport]) -> TxResult<()> {
    let mut unit = lock(conn, reports.iter().map(|report| &report.lease), false).await?;
    for report in reports {
        if let Some(key) = held(&unit, &report.lease)?
            && unit.root(key)?.record.is_unfinished()
        {
            unit.set_received(key, report.progress)?;
        }
    }
    unit.flush(conn).await
}

/// Lock the accounts that what becomes of these leases counts for, and the roots: accounts before roots, as everywhere.
async fn lock(
    conn: &mut Conn,
    leases: impl Iterator<Item = &LeaseKey> + Clone,
    with_held: bool,
) -> TxResult<UnitOfWork> {
    let wanted = RootsToLock { with_held, ..RootsToLock::named(leases.map(|lease| &lease.root)) };
    dialect::lock_accounts_of(conn, &wanted).await?;
    UnitOfWork::lock(conn, wanted, &[]).await
}

/// Settle leases, each on its own.
pub(crate) async fn settle(
    conn: &mut Conn,
    settlements: &[Settlement],
    now: Timestamp,
) -> TxResult<Vec<Result<(), StorageError>>> {
    let may_end_holds = settlements.iter().any(|settlement| matches!(settlement.verdict, Verdict::Pinned { .. }));
    let mut unit = lock(conn, settlements.iter().map(|settlement| &settlement.lease), may_end_holds).await?;
    let mut settled = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        settled.push(match settle_one(conn, &mut unit, settlement, now).await {
            Ok(()) => Ok(()),
            Err(TxError::Refused(StorageError::LeaseLost)) => Err(StorageError::LeaseLost),
            Err(error) => return Err(error),
        });
    }
    unit.flush(conn).await?;
    Ok(settled)
}

/// Settle one lease; nothing changes when it is lost.
async fn settle_one(conn: &mut Conn, unit: &mut UnitOfWork, settlement: &Settlement, now: Timestamp) -> TxResult<()> {
    let key = held(unit, &settlement.lease)?.ok_or(StorageError::LeaseLost)?;
    match unit.settle(key, &settlement.verdict, now)? {
        Settled::Released => released(conn, unit, key, now).await,
        Settled::Pinned | Settled::Failed { .. } | Settled::PutOff => Ok(()),
    }
}

/// Note that a root's node has unpinned it: the next node with a copy is to do so too, and without one the row goes.
pub(crate) async fn released(conn: &mut Conn, unit: &mut UnitOfWork, key: i64, now: Timestamp) -> TxResult<()> {
    let node = unit.root(key)?.node;
    diesel::delete(root_holders::table.find((key, node))).execute(conn).await?;
    let next: Option<i64> = root_holders::table
        .inner_join(nodes::table.on(nodes::key.eq(root_holders::node)))
        .filter(root_holders::root.eq(key))
        .filter(nodes::retired.eq(false))
        .order(nodes::id)
        .select(nodes::key)
        .first(conn)
        .await
        .optional()?;
    match next {
        None => unit.remove_root(key),
        Some(next) => unit.change(key, |root| {
            root.node = next;
            root.record.release_next(now);
        }),
    }
}
