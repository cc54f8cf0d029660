//! Which roots a node takes next: the accounts in fair turns, and each account's own queue.

use std::collections::{HashMap, HashSet, VecDeque};

use diesel::dsl::exists;
use diesel::prelude::*;
use pinrail_domain::{AccountId, FairQueue, WaitingAccount};
use pinrail_spec::Timestamp;

use super::{Conn, RunQueryDsl, dialect};
use crate::convert::{id, moment};
use crate::error::TxResult;
use crate::schema::{accounts, queue, queue_accounts, roots};

/// An account whose turn it is.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) key: i64,
    pub(crate) id: AccountId,
}

/// The accounts that wait for roots of some nodes, in turns.
pub(crate) struct FairTurns {
    node: i64,
    /// The nodes whose roots may be taken: `node`, and those that are not live.
    nodes: Vec<i64>,
    now: Timestamp,
    accounts: FairQueue,
    keys: HashMap<AccountId, i64>,
    queues: HashMap<AccountId, Queue>,
}

/// What was read of an account's queue.
#[derive(Default)]
struct Queue {
    /// Roots that are still to be tried.
    left: VecDeque<i64>,
    /// Roots that were read.
    read: HashSet<i64>,
    /// How many were asked for the last time; more may follow when there were as many.
    asked: usize,
}

impl FairTurns {
    /// The turns of a node whose worker has `slots` roots at once.
    pub(crate) async fn load(
        conn: &mut Conn,
        node: i64,
        nodes: Vec<i64>,
        now: Timestamp,
        slots: usize,
    ) -> TxResult<Self> {
        let running = running(conn, node, now).await?;
        let (mut keys, mut waiting) = (HashMap::new(), HashMap::new());
        for of in &nodes {
            for (key, account, last_served) in having_due(conn, *of, node, now).await? {
                let id = AccountId::from_uuid(id(&account)?);
                let running = running.get(&key).copied().unwrap_or(0);
                keys.insert(id, key);
                waiting.insert(id, WaitingAccount { id, running, last_served: last_served.map(moment) });
            }
        }
        let accounts = FairQueue::new(slots, now, waiting.into_values());
        Ok(Self { node, nodes, now, accounts, keys, queues: HashMap::new() })
    }

    /// The next root to try, and for whom. `wanted` is how many may follow at most.
    pub(crate) async fn next(&mut self, conn: &mut Conn, wanted: usize) -> TxResult<Option<(i64, Turn)>> {
        while let Some(id) = self.accounts.next() {
            let turn = Turn { key: self.keys[&id], id };
            if let Some(root) = self.next_of(conn, turn, wanted).await? {
                return Ok(Some((root, turn)));
            }
            self.accounts.remove();
        }
        Ok(None)
    }

    /// Note that the account whose turn it was is served.
    pub(crate) async fn serve(&mut self, conn: &mut Conn, turn: Turn) -> TxResult<()> {
        self.accounts.serve();
        let now = self.now.as_millis();
        diesel::insert_into(queue_accounts::table)
            .values((
                queue_accounts::account.eq(turn.key),
                queue_accounts::node.eq(self.node),
                queue_accounts::last_served.eq(now),
            ))
            .on_conflict((queue_accounts::account, queue_accounts::node))
            .do_update()
            .set(queue_accounts::last_served.eq(now))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// The account's next root. One that was taken meanwhile shows when it is tried; when others have taken all that was
    /// read, more of the queue is read.
    async fn next_of(&mut self, conn: &mut Conn, turn: Turn, wanted: usize) -> TxResult<Option<i64>> {
        let queue = self.queues.entry(turn.id).or_default();
        if queue.left.is_empty() && queue.read.len() == queue.asked {
            queue.asked = wanted.max(queue.asked).saturating_mul(2);
            let due = due_roots(conn, turn.key, &self.nodes, self.now.as_millis(), queue.asked).await?;
            queue.left = due.into_iter().filter(|root| queue.read.insert(*root)).collect();
        }
        Ok(queue.left.pop_front())
    }
}

/// The accounts with a due root of a node, each with its id and when it was last served by the node whose turns they are.
///
/// The question is asked for each account that waits, since there may be thousands whose roots are not due. Each rank by
/// itself is found by the index alone, however many places an account has.
async fn having_due(
    conn: &mut Conn,
    node: i64,
    served_by: i64,
    now: Timestamp,
) -> TxResult<Vec<(i64, Vec<u8>, Option<i64>)>> {
    let due = |rank: i16| {
        let places = queue::table.filter(queue::account.eq(accounts::key)).filter(queue::node.eq(node));
        let due =
            places.filter(queue::rank.eq(rank)).filter(queue::due.is_not_null()).filter(queue::due.le(now.as_millis()));
        exists(due.select(queue::root))
    };
    let served = queue_accounts::account.eq(accounts::key).and(queue_accounts::node.eq(served_by));
    let waiting = accounts::table
        .left_join(queue_accounts::table.on(served))
        .filter(dialect::waits())
        .filter(accounts::blocked.is_null())
        .filter(due(0).or(due(1)).or(due(2)));
    let columns = (accounts::key, accounts::id, queue_accounts::last_served.nullable());
    Ok(waiting.select(columns).load(conn).await?)
}

/// How many unexpired leases of the node were taken for each account.
async fn running(conn: &mut Conn, node: i64, now: Timestamp) -> TxResult<HashMap<i64, usize>> {
    let leased = roots::table
        .filter(roots::lease_token.is_not_null())
        .filter(roots::lease_until.gt(now.as_millis()))
        .filter(roots::lease_node.eq(node));
    let accounts: Vec<Option<i64>> = leased.select(roots::lease_account).load(conn).await?;
    let mut running = HashMap::new();
    for account in accounts.into_iter().flatten() {
        *running.entry(account).or_default() += 1;
    }
    Ok(running)
}

/// Up to `limit` due roots of an account in its own order.
async fn due_roots(conn: &mut Conn, account: i64, nodes: &[i64], now: i64, limit: usize) -> TxResult<Vec<i64>> {
    let mut fresh = due_of_rank(conn, account, 0, nodes, now, limit).await?;
    fresh.extend(due_of_rank(conn, account, 1, nodes, now, limit).await?);
    fresh.sort_unstable();
    if fresh.len() < limit {
        let left = limit - fresh.len();
        fresh.extend(due_of_rank(conn, account, 2, nodes, now, left).await?);
    }
    Ok(fresh.into_iter().take(limit).map(|(_, root)| root).collect())
}

/// Up to `limit` due roots of one rank of an account's queue, with their due. One node at a time, so that the index has
/// each one's in their order.
async fn due_of_rank(
    conn: &mut Conn,
    account: i64,
    rank: i16,
    nodes: &[i64],
    now: i64,
    limit: usize,
) -> TxResult<Vec<(i64, i64)>> {
    let mut due: Vec<(i64, i64)> = Vec::new();
    for node in nodes {
        let of_node = queue::table
            .filter(queue::account.eq(account))
            .filter(queue::node.eq(node))
            .filter(queue::rank.eq(rank))
            .filter(queue::due.is_not_null())
            .filter(queue::due.le(now))
            .order((queue::due, queue::root))
            .limit(i64::try_from(limit).unwrap_or(i64::MAX));
        due.extend(of_node.select((queue::due.assume_not_null(), queue::root)).load::<(i64, i64)>(conn).await?);
    }
    due.sort_unstable();
    due.truncate(limit);
    Ok(due)
}
