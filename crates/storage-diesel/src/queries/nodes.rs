//! IPFS nodes: registered, heard of, chosen for new roots, taken out of service.

use std::sync::OnceLock;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use pinrail_domain::{Node, NodeId, RootState};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::{NodeRegistration, StorageError};
use serde_json::json;

use super::audit::{Deed, note};
use super::clock::{self, Clock};
use super::counter_deltas::CounterDeltas;
use super::settle::released;
use super::unit_of_work::{RootsToLock, UnitOfWork};
use super::{Conn, RunQueryDsl, dialect};
use crate::convert::{addresses_text, backend_word, from_column, id_bytes};
use crate::error::{TxError, TxResult};
use crate::rows::NodeRow;
use crate::schema::{nodes, roots};

/// Roots of a retired node that are queued again in one step.
const RETIRED_AT_ONCE: i64 = 100;

/// The nodes as one step sees them.
pub(crate) struct KnownNodes {
    rows: Vec<NodeRow>,
    nodes: Vec<Node>,
    /// Where to dial each, once it was asked for.
    delegates: Vec<OnceLock<Vec<Multiaddr>>>,
}

impl KnownNodes {
    /// Load all nodes, without their addresses.
    pub(crate) async fn load(conn: &mut Conn) -> TxResult<Self> {
        Self::of(node_rows(conn).await?)
    }

    /// Load all nodes, and read the clock with the same query.
    pub(crate) async fn load_with_clock(conn: &mut Conn) -> TxResult<(Self, Clock)> {
        let query = nodes::table.order(nodes::id).select((NodeRow::as_select(), clock::shown()));
        let rows = query.load::<(NodeRow, i64)>(conn).await?;
        let clock = match rows.as_slice() {
            [(_, shown), ..] => Clock::reading(conn, *shown),
            [] => Clock::read(conn).await?,
        };
        Ok((Self::of(rows.into_iter().map(|(row, _)| row).collect())?, clock))
    }

    fn of(rows: Vec<NodeRow>) -> TxResult<Self> {
        let nodes = rows.iter().map(NodeRow::without_addresses).collect::<TxResult<_>>()?;
        let delegates = rows.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { rows, nodes, delegates })
    }

    /// Count the roots that the transaction has given to nodes so far.
    pub(crate) fn follow(&mut self, deltas: &CounterDeltas) {
        for (row, node) in self.rows.iter().zip(&mut self.nodes) {
            node.load = from_column(row.load + deltas.load_of(row.key));
        }
    }

    /// The key of a node, retired or not.
    pub(crate) fn key_of(&self, id: NodeId) -> Option<i64> {
        self.nodes.iter().position(|node| node.id == id).map(|index| self.rows[index].key)
    }

    fn standing(&self, key: i64) -> Option<&Node> {
        self.rows.iter().position(|row| row.key == key).map(|index| &self.nodes[index])
    }

    /// The key of a node that is in service.
    pub(crate) fn in_service(&self, id: &NodeId) -> Option<i64> {
        self.nodes.iter().find(|node| node.id == *id && !node.retired).and_then(|node| self.key_of(node.id))
    }

    /// The node that a new root is given to.
    pub(crate) fn choose(&self, now: Timestamp) -> Option<i64> {
        Node::choose(&self.nodes, now).and_then(|node| self.key_of(node.id))
    }

    /// Whether a node is live.
    pub(crate) fn is_live(&self, key: i64, now: Timestamp) -> bool {
        self.standing(key).is_some_and(|node| node.is_live(now))
    }

    /// The node that an unfinished root of `key` belongs to while nobody has leased it.
    pub(crate) fn keep_or_move(&self, key: i64, now: Timestamp) -> i64 {
        // One that is not known is none of any id.
        let own = self.standing(key).map_or(NodeId::from_uuid(uuid::Uuid::nil()), |node| node.id);
        self.key_of(Node::keep_or_move(&self.nodes, own, now)).unwrap_or(key)
    }

    /// The keys of the nodes that are not live and were given roots that are not pinned yet.
    pub(crate) fn abandoned(&self, now: Timestamp) -> Vec<i64> {
        let loaded = self.rows.iter().filter(|row| row.load > 0).map(|row| row.key);
        loaded.filter(|key| !self.is_live(*key, now)).collect()
    }

    /// The keys of the nodes that were taken out of service.
    pub(crate) fn retired(&self) -> Vec<i64> {
        self.rows.iter().zip(&self.nodes).filter(|(_, node)| node.retired).map(|(row, _)| row.key).collect()
    }

    /// What answers say of a node: where to dial it, and whether it is silent.
    pub(crate) fn describe(&self, key: i64, now: Timestamp) -> TxResult<(Vec<Multiaddr>, bool)> {
        let index = self.rows.iter().position(|row| row.key == key);
        let index = index.ok_or_else(|| TxError::corrupt(format!("a root of an unknown node {key}")))?;
        let known = &self.delegates[index];
        if known.get().is_none() {
            let told = self.rows[index].node()?.delegates().to_vec();
            known.get_or_init(|| told);
        }
        let delegates = known.get().cloned().unwrap_or_default();
        Ok((delegates, !self.nodes[index].is_live(now)))
    }
}

/// All nodes' rows, in the order of their ids.
async fn node_rows(conn: &mut Conn) -> TxResult<Vec<NodeRow>> {
    Ok(nodes::table.order(nodes::id).select(NodeRow::as_select()).load(conn).await?)
}

/// End the leases of a node, and add it or bring it up to date.
pub(crate) async fn register_node(conn: &mut Conn, node: &NodeRegistration, now: Timestamp) -> TxResult<()> {
    end_leases(conn, &node.id).await?;
    let told = (
        nodes::backend.eq(backend_word(node.backend)),
        nodes::peer_id.eq(&node.peer_id),
        nodes::addresses.eq(addresses_text(&node.addresses)),
        nodes::heartbeat.eq(now.as_millis()),
    );
    diesel::insert_into(nodes::table)
        .values((nodes::id.eq(id_bytes(node.id.as_uuid())), told.clone(), nodes::load.eq(0), nodes::retired.eq(false)))
        .on_conflict(nodes::id)
        .do_update()
        .set(told)
        .execute(conn)
        .await?;
    Ok(())
}

/// End all leases that a node has taken; their attempts stay counted. It comes before the node's own row is written:
/// whoever holds roots may come to write that row.
async fn end_leases(conn: &mut Conn, id: &NodeId) -> TxResult<()> {
    dialect::lock_leases(conn, id).await?;
    let Some(node) = node_key(conn, id).await? else { return Ok(()) };
    let leased = roots::table.filter(roots::lease_token.is_not_null()).filter(roots::lease_node.eq(node));
    let leased: Vec<i64> = leased.select(roots::key).load(conn).await?;
    let mut unit = UnitOfWork::lock(conn, RootsToLock::keyed(leased), &[]).await?;
    for key in unit.locked() {
        if unit.root(key)?.leased_for.is_some_and(|(taker, _)| taker == node) {
            unit.change(key, |root| root.record.end_lease())?;
        }
    }
    unit.flush(conn).await
}

/// Change where clients can dial a node; a sign of life.
pub(crate) async fn set_addresses(
    conn: &mut Conn,
    id: &NodeId,
    addresses: &[Multiaddr],
    now: Timestamp,
) -> TxResult<()> {
    let told = (nodes::addresses.eq(addresses_text(addresses)), nodes::heartbeat.eq(now.as_millis()));
    let row = nodes::table.filter(nodes::id.eq(id_bytes(id.as_uuid())));
    registered(id, diesel::update(row).set(told).execute(conn).await?)
}

/// A sign of life.
pub(crate) async fn beat(conn: &mut Conn, id: &NodeId, now: Timestamp) -> TxResult<()> {
    let row = nodes::table.filter(nodes::id.eq(id_bytes(id.as_uuid())));
    registered(id, diesel::update(row).set(nodes::heartbeat.eq(now.as_millis())).execute(conn).await?)
}

fn registered(id: &NodeId, changed: usize) -> TxResult<()> {
    if changed == 0 { Err(StorageError::Missing(format!("the node {id}")).into()) } else { Ok(()) }
}

/// All nodes, in the order of their ids.
pub(crate) async fn list_nodes(conn: &mut Conn) -> TxResult<Vec<Node>> {
    node_rows(conn).await?.iter().map(NodeRow::node).collect()
}

/// End the leases of a node and take it out of service.
pub(crate) async fn retire_node(conn: &mut Conn, id: &NodeId, by: &str, now: Timestamp) -> TxResult<()> {
    end_leases(conn, id).await?;
    let row = nodes::table.filter(nodes::id.eq(id_bytes(id.as_uuid())));
    registered(id, diesel::update(row).set(nodes::retired.eq(true)).execute(conn).await?)?;
    let deed = Deed { by, action: "node retire", subject: id.to_string(), account: None, details: json!({}) };
    note(conn, deed, now).await
}

async fn node_key(conn: &mut Conn, id: &NodeId) -> TxResult<Option<i64>> {
    let row = nodes::table.filter(nodes::id.eq(id_bytes(id.as_uuid())));
    Ok(row.select(nodes::key).get_result(conn).await.optional()?)
}

/// Give up some more of what a retired node has: its pinned roots are wanted afresh, what it was to release goes.
/// Whether there is more.
pub(crate) async fn empty_retired(conn: &mut Conn, id: &NodeId, now: Timestamp) -> TxResult<bool> {
    let now = Clock::read(conn).await?.moment(now);
    let Some(node) = node_key(conn, id).await? else { return Ok(false) };
    let pinned = of_node(conn, node, "state = 'pinned'").await?;
    let releasing = of_node(conn, node, "state = 'releasing'").await?;
    dialect::lock_accounts_of(conn, &RootsToLock::keyed(pinned.iter().copied())).await?;
    let wanted = RootsToLock::keyed(pinned.iter().chain(&releasing).copied());
    let mut unit = UnitOfWork::lock(conn, wanted, &[]).await?;
    let has_more = !pinned.is_empty() || !releasing.is_empty();
    for key in pinned {
        if is_still(&unit, key, node, RootState::Pinned) {
            unit.want_afresh(key, now)?;
        }
    }
    for key in releasing {
        if is_still(&unit, key, node, RootState::Releasing) {
            released(conn, &mut unit, key, now).await?;
        }
    }
    unit.flush(conn).await?;
    Ok(has_more)
}

/// Whether a locked root is still this node's and in this state.
fn is_still(unit: &UnitOfWork, key: i64, node: i64, state: RootState) -> bool {
    unit.root(key).is_ok_and(|root| root.node == node && root.record.state == state)
}

/// Some of the roots of a node in a state. The state is given as SQL: the index of each is known by that very text.
async fn of_node(conn: &mut Conn, node: i64, state: &str) -> TxResult<Vec<i64>> {
    let found = roots::table.filter(roots::node.eq(node)).filter(sql::<Bool>(state));
    Ok(found.select(roots::key).limit(RETIRED_AT_ONCE).load(conn).await?)
}
