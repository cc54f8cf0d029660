//! A root that changes, and everything that has to change with it: its accounts' usage, its node's load, its places
//! in the queues, and the copies of its state in its requests.

use diesel::prelude::*;
use pinrail_domain::{Progress, RootState};

use super::tally::Tally;
use super::{Conn, RunQueryDsl, dialect, holds};
use crate::columns::from_column;
use crate::error::Step;
use crate::fixed::fixed;
use crate::rows::{Root, State, Work, is_unfinished};
use crate::schema::{pin_requests, queue, root_progress, roots};

/// Requests of one root whose copies are brought up to date in one step.
const COPIED_AT_ONCE: i64 = 500;

/// A root as it is being changed, with what it was.
pub(super) struct Change {
    pub(super) root: Root,
    was: (RootState, i64),
    was_counted: Option<i64>,
    is_cleared: bool,
}

impl Change {
    /// Begin to change a root that the step has locked.
    pub(super) const fn of(root: Root) -> Self {
        let was = (root.work.state.0, root.work.node);
        Self { root, was, was_counted: None, is_cleared: false }
    }

    /// How it stands.
    pub(super) const fn work(&mut self) -> &mut Work {
        &mut self.root.work
    }

    /// What it counted for in its accounts' bytes when the change began.
    pub(super) async fn was_counted(&mut self, conn: &mut Conn) -> Step<i64> {
        if let Some(known) = self.was_counted {
            return Ok(known);
        }
        let work = Work { state: State(self.was.0), ..self.root.work.clone() };
        let received = if work.is_unfinished() { received_columns(conn, self.root.key).await? } else { (0, 0) };
        let counted = work.counted(received);
        self.was_counted = Some(counted);
        Ok(counted)
    }

    /// Forget what was received of it.
    pub(super) async fn clear_progress(&mut self, conn: &mut Conn) -> Step<()> {
        self.was_counted(conn).await?;
        self.is_cleared = true;
        dialect::write_later(conn, diesel::delete(root_progress::table.find(self.root.key))).await?;
        Ok(())
    }

    /// Save it and bring everything up to date that follows from it. Accounts whose row in `queue` is there count it.
    pub(super) async fn finish(mut self, conn: &mut Conn, tally: &mut Tally) -> Step<Root> {
        let (was_state, was_node) = self.was;
        let is_state = self.root.work.state.0;
        let queued = i64::from(is_unfinished(is_state)) - i64::from(is_unfinished(was_state));
        let bytes = self.bytes_change(conn).await?;
        if queued != 0 || bytes != 0 {
            for (account, requests) in members(conn, self.root.key).await? {
                tally.bytes(account, bytes);
                tally.queued_roots(account, if requests > 0 { queued } else { 0 });
            }
        }
        if queued != 0 || was_node != self.root.work.node {
            tally.load(was_node, -i64::from(is_unfinished(was_state)));
            tally.load(self.root.work.node, i64::from(is_unfinished(is_state)));
        }
        if was_state != is_state {
            self.root.work.begin_copy();
            copy_state(conn, &mut self.root, tally).await?;
        }
        save(conn, &self.root).await?;
        line_up(conn, &self.root).await?;
        Ok(self.root)
    }

    async fn bytes_change(&mut self, conn: &mut Conn) -> Step<i64> {
        let is = self.root.work.state.0;
        if is == self.was.0 || (is_unfinished(is) && is_unfinished(self.was.0)) {
            return Ok(if self.is_cleared { -self.was_counted(conn).await? } else { 0 });
        }
        let is_received = is_unfinished(is) && !self.is_cleared;
        let received = if is_received { received_columns(conn, self.root.key).await? } else { (0, 0) };
        Ok(self.root.work.counted(received) - self.was_counted(conn).await?)
    }
}

/// The accounts that count a root, with how many requests each has for it.
async fn members(conn: &mut Conn, root: i64) -> Step<Vec<(i64, i64)>> {
    Ok(queue::table.filter(queue::root.eq(root)).select((queue::account, queue::requests)).load(conn).await?)
}

/// Want a root afresh, with fresh attempts and a fresh time limit; holds that were to end after its failure are to
/// end no more.
pub(super) async fn want_afresh(conn: &mut Conn, change: &mut Change, now: i64) -> Step<()> {
    change.clear_progress(conn).await?;
    change.work().begin_anew(RootState::Queued, now);
    change.work().wanted_since = now;
    holds::end_later(conn, change.root.key, None).await
}

/// Save how a root stands.
async fn save(conn: &mut Conn, root: &Root) -> Step<()> {
    enum Save {}
    let update = diesel::update(roots::table.find(root.key)).set(&root.work);
    Ok(dialect::write_later(conn, fixed::<Save, _>(update)).await?)
}

/// A root's place in each queue: what `queue` holds of it.
pub(super) fn place(work: &Work) -> (i16, Option<i64>) {
    let rank = match (work.state.0, work.retry) {
        (RootState::Queued, _) => 0,
        (_, false) => 1,
        (_, true) => 2,
    };
    (rank, (work.is_unfinished() && work.lease_token.is_none()).then_some(work.due))
}

/// Put a root in its place in the queue of each account that has requests for it, or take it out of them.
async fn line_up(conn: &mut Conn, root: &Root) -> Step<()> {
    enum LineUp {}
    let (rank, due) = place(&root.work);
    let update = diesel::update(queue::table.filter(queue::root.eq(root.key)).filter(queue::requests.gt(0))).set((
        queue::node.eq(root.work.node),
        queue::rank.eq(rank),
        queue::due.eq(due),
    ));
    Ok(dialect::write_later(conn, fixed::<LineUp, _>(update)).await?)
}

/// What was received of a root.
pub(super) async fn received(conn: &mut Conn, root: &Root) -> Step<Progress> {
    let (blocks, bytes) = match root.work.state.0 {
        RootState::Pinned => (root.work.dag_blocks.unwrap_or(0), root.work.dag_bytes.unwrap_or(0)),
        _ => received_columns(conn, root.key).await?,
    };
    Ok(Progress { blocks: from_column(blocks), bytes: from_column(bytes) })
}

async fn received_columns(conn: &mut Conn, root: i64) -> Step<(i64, i64)> {
    let row = root_progress::table.find(root).select((root_progress::blocks, root_progress::bytes));
    Ok(row.get_result(conn).await.optional()?.unwrap_or_default())
}

/// Carry a root's state to up to 500 more of its requests, from where its cursor stands.
pub(super) async fn copy_state(conn: &mut Conn, root: &mut Root, tally: &mut Tally) -> Step<()> {
    let (Some(account), Some(created)) = (root.work.copied_account, root.work.copied_created) else { return Ok(()) };
    let state = root.work.state;
    let beyond = pin_requests::account.gt(account).or(pin_requests::created.gt(created));
    let rows: Vec<(i64, i64, i64, State)> = pin_requests::table
        .filter(pin_requests::root.eq(root.key))
        .filter(pin_requests::account.ge(account))
        .filter(beyond)
        .order((pin_requests::account, pin_requests::created))
        .limit(COPIED_AT_ONCE)
        .select((pin_requests::account, pin_requests::created, pin_requests::ordinal, pin_requests::status))
        .load(conn)
        .await?;
    for (account, created, ordinal, shown) in rows.iter().filter(|row| row.3 != state) {
        enum Show {}
        let update = diesel::update(pin_requests::table.find((*account, *created))).set(pin_requests::status.eq(state));
        dialect::write_later(conn, fixed::<Show, _>(update)).await?;
        tally.count(*account, *ordinal, *created, shown.0, -1);
        tally.count(*account, *ordinal, *created, state.0, 1);
    }
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == COPIED_AT_ONCE);
    let last = rows.last().filter(|_| is_full);
    root.work.copied_account = last.map(|row| row.0);
    root.work.copied_created = last.map(|row| row.1);
    Ok(())
}
