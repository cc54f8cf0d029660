//! IPFS nodes: registered, heard of, chosen for new roots, taken out of service.

use std::sync::OnceLock;

use diesel::dsl::{AsSelect, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use pinrail_domain::{Node, NodeId, RootState};
use pinrail_spec::{Multiaddr, RootKey, Timestamp};
use pinrail_storage::{NodeRegistration, StorageError};
use serde_json::json;

use super::audit::{Deed, note};
use super::change::{Change, want_afresh};
use super::clock::Clock;
use super::tally::Tally;
use super::{Conn, Db, RunQueryDsl, dialect, releases};
use crate::columns::{addresses_text, backend_word, from_column, id_bytes, root_key};
use crate::error::{Failed, Step};
use crate::rows::{NodeRow, Root, SORTED};
use crate::schema::{nodes, roots};

/// Roots of a retired node that are queued again in one step.
const RETIRED_AT_ONCE: i64 = 100;

/// The nodes as one step sees them.
pub(super) struct Fleet {
    rows: Vec<NodeRow>,
    nodes: Vec<Node>,
    /// Where to dial each, once it was asked for.
    delegates: Vec<OnceLock<Vec<Multiaddr>>>,
}

impl Fleet {
    /// Load all nodes, without their addresses.
    pub(super) async fn load(conn: &mut Conn) -> Step<Self> {
        Self::of(node_rows(conn).await?)
    }

    /// The nodes with these rows.
    pub(super) fn of(rows: Vec<NodeRow>) -> Step<Self> {
        let nodes = rows.iter().map(NodeRow::standing).collect::<Step<_>>()?;
        let delegates = rows.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { rows, nodes, delegates })
    }

    /// Count what the step has given to nodes so far.
    pub(super) fn follow(&mut self, tally: &Tally) {
        for (row, node) in self.rows.iter().zip(&mut self.nodes) {
            node.load = from_column(row.load + tally.load_of(row.key));
        }
    }

    /// The key of a node, retired or not.
    pub(super) fn key_of(&self, id: NodeId) -> Option<i64> {
        self.nodes.iter().position(|node| node.id == id).map(|index| self.rows[index].key)
    }

    fn standing(&self, key: i64) -> Option<&Node> {
        self.rows.iter().position(|row| row.key == key).map(|index| &self.nodes[index])
    }

    /// The key of a node that is in service.
    pub(super) fn in_service(&self, id: &NodeId) -> Option<i64> {
        self.nodes.iter().find(|node| node.id == *id && !node.retired).and_then(|node| self.key_of(node.id))
    }

    /// The node that a new root is given to.
    pub(super) fn choose(&self, now: Timestamp) -> Option<i64> {
        Node::choose(&self.nodes, now).and_then(|node| self.key_of(node.id))
    }

    /// Whether a node is live.
    pub(super) fn is_live(&self, key: i64, now: Timestamp) -> bool {
        self.standing(key).is_some_and(|node| node.is_live(now))
    }

    /// Where an unfinished root of `key` that nobody has leased belongs: its node stays while that is live.
    pub(super) fn keep_or_move(&self, key: i64, now: Timestamp) -> i64 {
        let retired = self.standing(key).is_none_or(|node| node.retired);
        let chosen = self.choose(now).filter(|chosen| retired || self.is_live(*chosen, now));
        if self.is_live(key, now) { key } else { chosen.unwrap_or(key) }
    }

    /// The keys of the nodes that are not live and were given roots that are not pinned yet.
    pub(super) fn abandoned(&self, now: Timestamp) -> Vec<i64> {
        let loaded = self.rows.iter().filter(|row| row.load > 0).map(|row| row.key);
        loaded.filter(|key| !self.is_live(*key, now)).collect()
    }

    /// The keys of the nodes that were taken out of service.
    pub(super) fn retired(&self) -> Vec<i64> {
        self.rows.iter().zip(&self.nodes).filter(|(_, node)| node.retired).map(|(row, _)| row.key).collect()
    }

    /// What answers say of a node: where to dial it, and whether it is silent.
    pub(super) fn describe(&self, key: i64, now: Timestamp) -> Step<(Vec<Multiaddr>, bool)> {
        let index = self.rows.iter().position(|row| row.key == key);
        let index = index.ok_or_else(|| Failed::corrupt(format!("a root of an unknown node {key}")))?;
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
#[diesel::dsl::auto_type]
pub(super) fn rows() -> _ {
    let columns: AsSelect<NodeRow, Db> = NodeRow::as_select();
    nodes::table.order(nodes::id).select(columns)
}

async fn node_rows(conn: &mut Conn) -> Step<Vec<NodeRow>> {
    Ok(rows().load(conn).await?)
}

/// End the leases of a node, and add it or bring it up to date.
pub(crate) async fn register_node(conn: &mut Conn, node: &NodeRegistration, now: Timestamp) -> Step<()> {
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
async fn end_leases(conn: &mut Conn, id: &NodeId) -> Step<()> {
    dialect::lock_leases(conn, id).await?;
    let Some(node) = node_key(conn, id).await? else { return Ok(()) };
    let mut tally = Tally::default();
    for key in leased_by(conn, node).await? {
        let Some(root) = dialect::lock_root(conn, key).await.optional()? else { continue };
        if root.work.lease_node != Some(node) {
            continue;
        }
        let mut change = Change::of(root);
        change.work().end_lease();
        change.finish(conn, &mut tally).await?;
    }
    tally.flush(conn).await
}

async fn leased_by(conn: &mut Conn, node: i64) -> Step<Vec<i64>> {
    let leased = roots::table.filter(roots::lease_token.is_not_null()).filter(roots::lease_node.eq(node));
    Ok(leased.select(roots::key).order(roots::key + SORTED).load(conn).await?)
}

/// Change where clients can dial a node; a sign of life.
pub(crate) async fn set_addresses(conn: &mut Conn, id: &NodeId, addresses: &[Multiaddr], now: Timestamp) -> Step<()> {
    let told = (nodes::addresses.eq(addresses_text(addresses)), nodes::heartbeat.eq(now.as_millis()));
    let row = nodes::table.filter(nodes::id.eq(id_bytes(id.as_uuid())));
    registered(id, diesel::update(row).set(told).execute(conn).await?)
}

/// A sign of life.
pub(crate) async fn beat(conn: &mut Conn, id: &NodeId, now: Timestamp) -> Step<()> {
    let row = nodes::table.filter(nodes::id.eq(id_bytes(id.as_uuid())));
    registered(id, diesel::update(row).set(nodes::heartbeat.eq(now.as_millis())).execute(conn).await?)
}

fn registered(id: &NodeId, changed: usize) -> Step<()> {
    if changed == 0 { Err(StorageError::Missing(format!("the node {id}")).into()) } else { Ok(()) }
}

/// All nodes, in the order of their ids.
pub(crate) async fn list_nodes(conn: &mut Conn) -> Step<Vec<Node>> {
    node_rows(conn).await?.iter().map(NodeRow::node).collect()
}

/// End the leases of a node and take it out of service.
pub(crate) async fn retire_node(conn: &mut Conn, id: &NodeId, by: &str, now: Timestamp) -> Step<()> {
    end_leases(conn, id).await?;
    let row = nodes::table.filter(nodes::id.eq(id_bytes(id.as_uuid())));
    registered(id, diesel::update(row).set(nodes::retired.eq(true)).execute(conn).await?)?;
    let deed = Deed { by, action: "node retire", subject: id.to_string(), account: None, details: json!({}) };
    note(conn, deed, now).await
}

async fn node_key(conn: &mut Conn, id: &NodeId) -> Step<Option<i64>> {
    let row = nodes::table.filter(nodes::id.eq(id_bytes(id.as_uuid())));
    Ok(row.select(nodes::key).get_result(conn).await.optional()?)
}

/// Give up some more of what a retired node has: its pinned roots are wanted afresh, what it was to release goes.
/// Whether there is more.
pub(crate) async fn empty_retired(conn: &mut Conn, id: &NodeId, now: Timestamp) -> Step<bool> {
    let now = Clock::read(conn).await?.moment(now);
    let Some(node) = node_key(conn, id).await? else { return Ok(false) };
    let mut tally = Tally::default();
    let pinned = of_node(conn, node, "state = 'pinned'").await?;
    dialect::lock_accounts_of(conn, pinned.iter().map(|(_, name)| name)).await?;
    for (key, _) in &pinned {
        let Some(root) = still(conn, *key, node, RootState::Pinned).await? else { continue };
        let mut change = Change::of(root);
        want_afresh(conn, &mut change, now.as_millis()).await?;
        change.finish(conn, &mut tally).await?;
    }
    let releasing = of_node(conn, node, "state = 'releasing'").await?;
    for (key, _) in &releasing {
        let Some(root) = still(conn, *key, node, RootState::Releasing).await? else { continue };
        releases::released(conn, root, node, now.as_millis(), &mut tally).await?;
    }
    tally.flush(conn).await?;
    Ok(!pinned.is_empty() || !releasing.is_empty())
}

/// A root, locked, if it is still this node's and in this state.
async fn still(conn: &mut Conn, key: i64, node: i64, state: RootState) -> Step<Option<Root>> {
    let root = dialect::lock_root(conn, key).await.optional()?;
    Ok(root.filter(|root| root.work.node == node && root.work.state.0 == state))
}

/// Some of the roots of a node in a state, in the order of their keys. The state is given as SQL: the index of each is
/// known by that very text.
async fn of_node(conn: &mut Conn, node: i64, state: &str) -> Step<Vec<(i64, RootKey)>> {
    let found = roots::table.filter(roots::node.eq(node)).filter(sql::<Bool>(state));
    // Those that the index has first, whichever they are: to find those with the least keys all would be read.
    let found = found.select((roots::key, roots::codec, roots::multihash)).limit(RETIRED_AT_ONCE);
    let mut rows: Vec<(i64, i64, Vec<u8>)> = found.load(conn).await?;
    rows.sort_unstable();
    Ok(rows.into_iter().map(|(key, codec, multihash)| (key, root_key(codec, &multihash))).collect())
}
