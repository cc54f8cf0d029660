//! Whose turn it is, and which of the account's roots: fair shares between accounts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use diesel::dsl::exists;
use diesel::prelude::*;
use pinrail_domain::AccountId;

use super::{Conn, RunQueryDsl, dialect};
use crate::columns::id;
use crate::error::Step;
use crate::fixed::fixed;
use crate::schema::{accounts, queue, queue_accounts, roots};

/// An account's place among those that wait: fewest running, then longest not served, then the least id.
type Turn = (usize, Option<i64>, Vec<u8>, i64);

/// An account that gets a root.
pub(super) struct Served {
    pub(super) key: i64,
    pub(super) id: AccountId,
}

/// The accounts that wait for roots of some nodes, and what each has running.
pub(super) struct Turns {
    node: i64,
    /// Whose roots may be taken: the node's own, and those of nodes that are not live.
    nodes: Vec<i64>,
    now: i64,
    /// The most that one account may have running.
    most: usize,
    ready: BinaryHeap<Reverse<Turn>>,
    queues: HashMap<i64, Queue>,
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

impl Turns {
    /// The turns of a node whose worker has `slots` roots at once, the last quarter of which no account gets.
    pub(super) async fn load(conn: &mut Conn, node: i64, nodes: Vec<i64>, now: i64, slots: usize) -> Step<Self> {
        let running = running(conn, node, now).await?;
        let mut waiting = HashMap::new();
        for of in &nodes {
            waiting.extend(having_due(conn, *of, node, now).await?);
        }
        let turn = |(key, (id, served))| Reverse((running.get(&key).copied().unwrap_or(0), served, id, key));
        let ready = waiting.into_iter().map(turn).collect();
        Ok(Self { node, nodes, now, most: slots - slots / 4, ready, queues: HashMap::new() })
    }

    /// The next root to try, and for whom. `wanted` is how many may follow at most.
    pub(super) async fn next(&mut self, conn: &mut Conn, wanted: usize) -> Step<Option<(i64, Served)>> {
        while let Some(Reverse((running, _, account_id, key))) = self.ready.peek() {
            let account = Served { key: *key, id: AccountId::from_uuid(id(account_id)?) };
            if *running < self.most
                && let Some(root) = self.next_of(conn, account.key, wanted).await?
            {
                return Ok(Some((root, account)));
            }
            self.ready.pop();
        }
        Ok(None)
    }

    /// Note that the account whose turn it was is served.
    pub(super) async fn serve(&mut self, conn: &mut Conn) -> Step<()> {
        enum Serve {}
        let Some(Reverse((running, _, id, account))) = self.ready.pop() else { return Ok(()) };
        self.ready.push(Reverse((running + 1, Some(self.now), id, account)));
        let upsert = diesel::insert_into(queue_accounts::table)
            .values((
                queue_accounts::account.eq(account),
                queue_accounts::node.eq(self.node),
                queue_accounts::last_served.eq(self.now),
            ))
            .on_conflict((queue_accounts::account, queue_accounts::node))
            .do_update()
            .set(queue_accounts::last_served.eq(self.now));
        Ok(dialect::write_later(conn, fixed::<Serve, _>(upsert)).await?)
    }

    /// The account's next root. What is taken of its queue meanwhile is found out when it is tried; when others have
    /// taken all that was read, more of it is.
    async fn next_of(&mut self, conn: &mut Conn, account: i64, wanted: usize) -> Step<Option<i64>> {
        let queue = self.queues.entry(account).or_default();
        if queue.left.is_empty() && queue.read.len() == queue.asked {
            queue.asked = wanted.max(queue.asked).saturating_mul(2);
            let due = due_roots(conn, account, &self.nodes, self.now, queue.asked).await?;
            queue.left = due.into_iter().filter(|root| queue.read.insert(*root)).collect();
        }
        Ok(queue.left.pop_front())
    }
}

/// The accounts with a due root of a node, each with its id and when it was last served by the node whose turns they are.
///
/// The question is asked for each account that waits, since there may be thousands whose roots are not due. The offset
/// keeps PostgreSQL from reading all that is due of all accounts instead, and each rank for itself is found by the index
/// alone, however many places an account has.
async fn having_due(conn: &mut Conn, node: i64, served_by: i64, now: i64) -> Step<Vec<(i64, (Vec<u8>, Option<i64>))>> {
    let due = |rank: i16| {
        let places = queue::table.filter(queue::account.eq(accounts::key)).filter(queue::node.eq(node));
        let due = places.filter(queue::rank.eq(rank)).filter(queue::due.is_not_null()).filter(queue::due.le(now));
        exists(due.select(queue::root).offset(0))
    };
    let served = queue_accounts::account.eq(accounts::key).and(queue_accounts::node.eq(served_by));
    let waiting = accounts::table
        .left_join(queue_accounts::table.on(served))
        .filter(dialect::waits())
        .filter(accounts::blocked.is_null())
        .filter(due(0).or(due(1)).or(due(2)));
    let columns = (accounts::key, (accounts::id, queue_accounts::last_served.nullable()));
    Ok(waiting.select(columns).load(conn).await?)
}

/// How many unexpired leases of the node were taken for each account.
async fn running(conn: &mut Conn, node: i64, now: i64) -> Step<HashMap<i64, usize>> {
    let leased = roots::table
        .filter(roots::lease_token.is_not_null())
        .filter(roots::lease_until.gt(now))
        .filter(roots::lease_node.eq(node));
    let accounts: Vec<Option<i64>> = leased.select(roots::lease_account).load(conn).await?;
    let mut running = HashMap::new();
    for account in accounts.into_iter().flatten() {
        *running.entry(account).or_default() += 1;
    }
    Ok(running)
}

/// Up to `limit` due roots of an account in its own order.
async fn due_roots(conn: &mut Conn, account: i64, nodes: &[i64], now: i64, limit: usize) -> Step<Vec<i64>> {
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
) -> Step<Vec<(i64, i64)>> {
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
