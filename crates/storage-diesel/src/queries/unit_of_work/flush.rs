//! Writing what a transaction has changed.

use diesel::prelude::*;
use pinrail_domain::{Claims, Progress, QueuePlace};
use pinrail_spec::Timestamp;

use super::super::{Conn, RunQueryDsl, dialect};
use super::{Counted, LockedRoot, UnitOfWork};
use crate::convert::to_column;
use crate::error::TxResult;
use crate::rows::{QueueRow, Root, RootRow, State, meta_of};
use crate::schema::{holds, pin_meta, pin_requests, queue, root_holders, root_progress, roots};

/// Requests of one root whose copies are brought up to date in one step.
const COPIED_AT_ONCE: i64 = 500;

/// A root's place in the queues of its accounts: root, node, rank, due.
pub(crate) type Place = (i64, i64, i16, Option<i64>);

/// The state that a copy in a request takes: account, created, state.
pub(crate) type StatusCopy = (i64, i64, State);

pub(crate) fn place(root: &Root) -> Place {
    let QueuePlace { rank, due } = root.record.queue_place();
    (root.key, root.node, i16::from(rank), due.map(Timestamp::as_millis))
}

impl LockedRoot {
    /// What it counted for before; nothing for a new one.
    fn counted_before(&self) -> Counted {
        self.before.as_ref().map_or(Counted::NOTHING, |(root, received)| Counted::of(&root.record, *received))
    }

    /// Whether its row is to be updated.
    fn is_updated(&self) -> bool {
        !self.is_gone && self.before.as_ref().is_some_and(|(before, _)| *before != self.root)
    }

    fn is_state_changed(&self) -> bool {
        !self.is_gone && self.before.as_ref().is_some_and(|(before, _)| before.record.state != self.root.record.state)
    }

    /// Whether its places in queues may be others now. An expired lease may have been put back there, so those with a
    /// lease are written in any case.
    fn is_moved(&self) -> bool {
        let Some((before, _)) = self.before.as_ref().filter(|_| self.is_updated()) else { return false };
        let is_leased = before.record.lease.is_some() || self.root.record.lease.is_some();
        is_leased || place(before) != place(&self.root)
    }

    fn received_before(&self) -> Progress {
        self.before.as_ref().map_or_else(Progress::default, |(_, received)| *received)
    }
}

impl UnitOfWork {
    /// Write all that has changed.
    pub(crate) async fn flush(mut self, conn: &mut Conn) -> TxResult<()> {
        self.count_for_others(conn).await?;
        self.write_new(conn).await?;
        self.delete_removed(conn).await?;
        self.copy_states(conn).await?;
        self.write_roots(conn).await?;
        self.write_queue(conn).await?;
        self.write_holds(conn).await?;
        self.deltas.flush(conn).await
    }

    /// Count what has changed of roots for the accounts that have claims on them and that the step did not ask about.
    async fn count_for_others(&mut self, conn: &mut Conn) -> TxResult<()> {
        let is_counted = |locked: &&LockedRoot| locked.before.is_some() && locked.counted_before() != locked.counted();
        let changed: Vec<i64> = self.roots.values().filter(is_counted).map(|locked| locked.root.key).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let rows = queue::table.filter(dialect::any_of("queue.root", &changed));
        for row in rows.load::<QueueRow>(conn).await? {
            if self.claims.contains_key(&(row.root, row.account)) {
                continue;
            }
            let (locked, claims) = (&self.roots[&row.root], row.claims());
            self.deltas.usage(row.account, locked.counted_before().usage(claims), locked.counted().usage(claims));
        }
        Ok(())
    }

    async fn write_new(&mut self, conn: &mut Conn) -> TxResult<()> {
        let new = self.roots.values().filter(|locked| locked.before.is_none());
        let mut new = new.map(|locked| locked.root.row()).collect::<TxResult<Vec<RootRow>>>()?;
        // Two transactions that make the same roots do not wait for one another in a circle.
        new.sort_unstable_by(|one, other| (one.codec, &one.multihash).cmp(&(other.codec, &other.multihash)));
        dialect::insert_roots(conn, new).await?;
        dialect::insert_requests(conn, std::mem::take(&mut self.rows.requests)).await?;
        dialect::insert_meta(conn, std::mem::take(&mut self.rows.meta)).await?;
        Ok(())
    }

    /// Delete a request's rows. It comes after the new ones: a request that replaces another must not take its id.
    async fn delete_removed(&mut self, conn: &mut Conn) -> TxResult<()> {
        let Some(request) = self.rows.removed_request.take() else { return Ok(()) };
        // Its status may have changed since it was read.
        let status: State = diesel::delete(pin_requests::table.find((request.account, request.created)))
            .returning(pin_requests::status)
            .get_result(conn)
            .await?;
        for pair in request.meta_rows(&meta_of(request.meta.as_deref())?) {
            let pair = pin_meta::table.find((pair.account, pair.key, pair.value, pair.created));
            diesel::delete(pair).execute(conn).await?;
        }
        self.deltas.count((request.account, request.ordinal, request.created), status.0, -1);
        Ok(())
    }

    /// Carry the states that have changed to the first requests of each root.
    async fn copy_states(&mut self, conn: &mut Conn) -> TxResult<()> {
        let mut copies = Vec::new();
        for locked in self.roots.values_mut().filter(|locked| locked.is_state_changed()) {
            locked.root.copied = (locked.root.record.requests > 0).then_some((i64::MIN, i64::MIN));
            copies.extend(copy_state(conn, &mut locked.root, &mut self.deltas).await?);
        }
        Ok(dialect::update_statuses(conn, copies).await?)
    }

    /// Carry the state of a root on to further requests.
    pub(crate) async fn copy_further(&mut self, conn: &mut Conn, key: i64) -> TxResult<()> {
        let Some(locked) = self.roots.get_mut(&key) else { return Ok(()) };
        let copies = copy_state(conn, &mut locked.root, &mut self.deltas).await?;
        Ok(dialect::update_statuses(conn, copies).await?)
    }

    async fn write_roots(&self, conn: &mut Conn) -> TxResult<()> {
        let changed = self.roots.values().filter(|locked| locked.is_updated());
        dialect::update_roots(conn, changed.map(|locked| locked.root.row()).collect::<TxResult<_>>()?).await?;
        for locked in self.roots.values().filter(|locked| !locked.is_gone) {
            write_received(conn, locked).await?;
        }
        for row in &self.rows.holders {
            diesel::insert_into(root_holders::table).values(row).on_conflict_do_nothing().execute(conn).await?;
        }
        for key in self.roots.values().filter(|locked| locked.is_gone).map(|locked| locked.root.key) {
            diesel::delete(root_holders::table.filter(root_holders::root.eq(key))).execute(conn).await?;
            diesel::delete(root_progress::table.find(key)).execute(conn).await?;
            diesel::delete(roots::table.find(key)).execute(conn).await?;
        }
        Ok(())
    }

    async fn write_queue(&self, conn: &mut Conn) -> TxResult<()> {
        let moved = self.roots.values().filter(|locked| locked.is_moved());
        dialect::update_places(conn, moved.map(|locked| place(&locked.root)).collect()).await?;
        let mut rows = Vec::new();
        for ((root, account), claims) in self.claims.iter().filter(|(_, claims)| claims.before != claims.after) {
            let Claims { requests, holds } = claims.after;
            if requests + holds == 0 {
                diesel::delete(queue::table.find((*root, *account))).execute(conn).await?;
                continue;
            }
            let (_, node, rank, due) = place(&self.roots[root].root);
            let (root, account) = (*root, *account);
            let due = due.filter(|_| requests > 0);
            rows.push(QueueRow {
                root,
                account,
                requests: to_column(requests),
                holds: to_column(holds),
                node,
                rank,
                due,
            });
        }
        Ok(dialect::upsert_claims(conn, rows).await?)
    }

    async fn write_holds(&self, conn: &mut Conn) -> TxResult<()> {
        for (owner, root) in &self.rows.ended_holds {
            diesel::delete(holds::table.find((owner, *root))).execute(conn).await?;
        }
        for row in &self.rows.new_holds {
            diesel::insert_into(holds::table).values(row).execute(conn).await?;
        }
        for (awaited, ends) in &self.rows.holds_end {
            let waiting = holds::table.filter(holds::awaited.eq(*awaited));
            diesel::update(waiting).set(holds::ends.eq(*ends)).execute(conn).await?;
        }
        Ok(())
    }
}

/// Write what was received of a root, if that has changed. A row is there only while it is being fetched.
async fn write_received(conn: &mut Conn, locked: &LockedRoot) -> TxResult<()> {
    let (key, received) = (locked.root.key, locked.received);
    if received == locked.received_before() {
        return Ok(());
    }
    if received == Progress::default() {
        diesel::delete(root_progress::table.find(key)).execute(conn).await?;
        return Ok(());
    }
    let columns =
        (root_progress::blocks.eq(to_column(received.blocks)), root_progress::bytes.eq(to_column(received.bytes)));
    diesel::insert_into(root_progress::table)
        .values((root_progress::root.eq(key), columns))
        .on_conflict(root_progress::root)
        .do_update()
        .set(columns)
        .execute(conn)
        .await?;
    Ok(())
}

/// Find up to [`COPIED_AT_ONCE`] requests of a root after its cursor, move that on, and return the copies to be written.
async fn copy_state(conn: &mut Conn, root: &mut Root, deltas: &mut super::CounterDeltas) -> TxResult<Vec<StatusCopy>> {
    let Some((account, created)) = root.copied else { return Ok(Vec::new()) };
    let state = State(root.record.state);
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
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == COPIED_AT_ONCE);
    root.copied = rows.last().filter(|_| is_full).map(|row| (row.0, row.1));
    let mut copies = Vec::new();
    for (account, created, ordinal, status) in rows.into_iter().filter(|row| row.3 != state) {
        deltas.count((account, ordinal, created), status.0, -1);
        deltas.count((account, ordinal, created), state.0, 1);
        copies.push((account, created, state));
    }
    Ok(copies)
}
