//! Attacks on the worker: by a tenant who names origins and roots, and by strangers who reach its IPFS node.

pub mod crowd;
pub mod dead_roots;
pub mod dripping;
pub mod empty_blocks;
pub mod half_open;
pub mod junk_origins;
pub mod listener;
pub mod promises;
pub mod questions;
pub mod silent_origins;
pub mod slow_readers;
pub mod tiny_blocks;

use anyhow::Result;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::peers::Peers;
use super::target::{Target, Tenant};
use super::victim::STANDSTILL;
use crate::chaos::Block;
use crate::instance::pins::Pinned;
use crate::instance::provider::Provider;

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
