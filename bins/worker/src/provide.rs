//! `provide`: serves a file, a folder or a CAR over bitswap from a store that is thrown away.

use std::io::Write;

use anyhow::{Context, Result};
use pinrail_ipfs_embedded::{DialPolicy, Keypair, Node, NodeLimits, NodeOptions, RoutingOptions};
use serde::Serialize;

use crate::log;
use crate::scratch::Scratch;
use crate::settings::{Common, ProvideArgs};
use crate::system::{now, told_to_stop};

/// The content and where it is served, for scripts.
#[derive(Serialize)]
struct Served {
    cid: String,
    addresses: Vec<String>,
}

/// Serve what `asked` names until told to stop.
pub async fn provide(common: &Common, asked: &ProvideArgs) -> Result<()> {
    log::start(common, "warn")?;
    let told_to_stop = told_to_stop()?;
    tokio::select! {
        provided = provide_on(asked) => provided,
        () = told_to_stop => Ok(()),
    }
}

/// Serve what `asked` names for ever.
async fn provide_on(asked: &ProvideArgs) -> Result<()> {
    let scratch = Scratch::new("pinrail-provide-")?;
    let store = scratch.open_blocks()?;
    let (into, path) = (store.clone(), asked.path.clone());
    let roots = tokio::task::spawn_blocking(move || pinrail_unixfs::add(&into, &path, now())).await??;
    let cid = roots.first().context("the CAR names no root, so there is nothing to provide")?.to_string();
    let options = NodeOptions {
        keypair: Keypair::generate_ed25519(),
        listen: asked.listen.clone(),
        announce: Vec::new(),
        dial: DialPolicy::default(),
        limits: NodeLimits::default(),
        routing: RoutingOptions::default(),
    };
    let node = Node::start(options, store).await?;
    let addresses = node.addresses().iter().map(ToString::to_string).collect();
    print(&Served { cid, addresses }, asked.json)?;
    std::future::pending().await
}

/// Prints what is served, whole and at once: the caller of the command waits for it.
fn print(served: &Served, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(served)?)?;
    } else {
        writeln!(out, "providing {}", served.cid)?;
        for address in &served.addresses {
            writeln!(out, "  at {address}")?;
        }
    }
    Ok(out.flush()?)
}
