//! Attacks on the worker: by a tenant who names origins and roots, and by strangers who reach its IPFS node.

mod crowd;
mod dead_roots;
mod dripping;
mod empty_blocks;
mod half_open;
mod junk_origins;
mod listener;
mod promises;
mod questions;
mod silent_origins;
mod slow_readers;
mod tiny_blocks;

use anyhow::Result;
use pinrail_chaos::Block;
use pinrail_testbed::instance::pins::Pinned;
use pinrail_testbed::instance::provider::Provider;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::peers::Peers;
use super::target::{Target, Tenant};
use super::victim::STANDSTILL;

/// The CID of a block that nobody has.
fn missing(salt: &str, number: usize) -> String {
    Block::raw(Sha256::digest(format!("{salt} {number}")).to_vec()).cid.base32()
}

/// Have an account ask for roots that nobody has.
fn add_missing(tenant: &Tenant, salt: &str, count: usize) -> Result<()> {
    for number in 0..count {
        tenant.client.post("/pins", &json!({ "cid": missing(salt, number), "name": salt }))?.expect(202)?;
    }
    Ok(())
}

/// Pin a DAG that `hostile_peer` makes of so many leaves of that size.
fn pin_dag(target: &Target, shape: &[&str]) -> Result<Pinned> {
    let (peers, provided) = Peers::listen(target, "provide", &[&["provide"], shape].concat())?;
    let request = target.victim.client.add_pin(&provided.cid, "dag", &provided.addresses)?;
    let pinned = target.victim.client.follow(&request, STANDSTILL, |_| ())?;
    drop(peers);
    Ok(pinned)
}

/// Provide a file of a victim's.
fn provide(target: &Target, name: &str) -> Result<Provider> {
    let path = target.folder().join(name);
    std::fs::write(&path, format!("the victim's own file, {name}"))?;
    Provider::start(&target.instance, &path)
}
