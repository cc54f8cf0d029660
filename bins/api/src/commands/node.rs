//! `node`: list, retire.

use anyhow::{Result, anyhow};
use pinrail_domain::{Backend, Node, NodeId};
use pinrail_spec::{Multiaddr, Timestamp};
use pinrail_storage::Storage;
use serde::Serialize;

use super::{print_json, print_table};
use crate::settings::NodeCommand;

/// A node as a script gets it.
#[derive(Serialize)]
struct Shown<'a> {
    id: NodeId,
    backend: Backend,
    peer_id: &'a str,
    addresses: Vec<&'a str>,
    heartbeat: Timestamp,
    load: u64,
    state: &'static str,
}

/// Do what is asked of nodes.
pub async fn run(command: NodeCommand, storage: &dyn Storage) -> Result<()> {
    let now = storage.now().await?;
    match command {
        NodeCommand::List { json } => list(&storage.list_nodes().await?, json, now),
        NodeCommand::Retire { id } => {
            let node = id.parse::<NodeId>().map_err(|_| anyhow!("{id:?} is no node id, `node list` shows them"))?;
            storage.retire_node(&node, now).await?;
            println!("node {node} is retired, what it held is fetched again by others");
            Ok(())
        }
    }
}

fn list(nodes: &[Node], json: bool, now: Timestamp) -> Result<()> {
    let shown = nodes.iter().map(|node| show(node, now)).collect::<Vec<_>>();
    if json {
        return print_json(&shown);
    }
    let row = |node: &Shown<'_>| {
        let address = node.addresses.first().copied().unwrap_or("-").to_owned();
        [node.id.to_string(), node.state.to_owned(), node.heartbeat.to_string(), node.load.to_string(), address]
    };
    let rows = shown.iter().map(row).collect::<Vec<_>>();
    print_table(["ID", "STATE", "LAST HEARD OF", "ROOTS DUE", "ADDRESS"], &rows, "no node yet, start pinrail-worker");
    Ok(())
}

fn show(node: &Node, now: Timestamp) -> Shown<'_> {
    let state = match (node.retired, node.is_live(now)) {
        (true, _) => "retired",
        (false, true) => "live",
        (false, false) => "silent",
    };
    Shown {
        id: node.id,
        backend: node.backend,
        peer_id: &node.peer_id,
        addresses: node.addresses.iter().map(Multiaddr::as_str).collect(),
        heartbeat: node.heartbeat,
        load: node.load,
        state,
    }
}
