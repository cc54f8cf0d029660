//! Pinrail on a public network with the DHT of real Kubos, in a namespace from which no packet leaves.

mod namespace;
mod world;

use anyhow::{Context, Result, ensure};
use pinrail_e2e::eventually;
use world::{FOUND, World};

#[test]
fn content_that_nobody_brings_is_found_in_the_dht() -> Result<()> {
    let mut world = World::start(4)?;
    let holder = &world.kubos[3].repository;
    let cid = holder.add(&"found in the DHT ".repeat(50_000))?;
    holder.run(&["routing", "provide", &cid])?;
    let bootstrap = world.kubos[0].address.clone();
    world.start_pinrail(&["--bootstrap", &bootstrap, "--routers", "none"])?;
    world.pin(&cid, &[])?;
    Ok(())
}

#[test]
fn a_peer_with_an_rsa_identity_is_a_source() -> Result<()> {
    let mut world = World::start(1)?;
    let kubo = &world.kubos[0];
    let (cid, origin) = (kubo.repository.add("held by a peer with an RSA identity")?, kubo.address.clone());
    ensure!(origin.contains("/p2p/Qm"), "{origin} is no peer id of RSA");
    world.start_pinrail(&["--dht", "off", "--routers", "none"])?;
    world.pin(&cid, &[origin])?;
    Ok(())
}

#[test]
fn an_origin_without_an_address_is_looked_up() -> Result<()> {
    let mut world = World::start(4)?;
    let holder = &world.kubos[3];
    let cid = holder.repository.add("held by a peer of which only the id is told")?;
    let (_, id) = holder.address.rsplit_once("/p2p/").unwrap_or_default();
    let origin = format!("/p2p/{id}");
    let bootstrap = world.kubos[0].address.clone();
    world.start_pinrail(&["--bootstrap", &bootstrap, "--routers", "none"])?;
    world.pin(&cid, &[origin])?;
    Ok(())
}

#[test]
fn a_kubo_that_asks_the_workers_router_finds_what_it_keeps() -> Result<()> {
    let mut world = World::start(2)?;
    let text = "told of by a router ".repeat(50_000);
    let (cid, origin) = (world.kubos[1].repository.add(&text)?, world.kubos[1].address.clone());
    world.start_pinrail(&["--dht", "off", "--routers", "none", "--routing", "20.1.0.1:7404"])?;
    world.pin(&cid, &[origin])?;
    world.kubos[1].repository.stop()?;

    let reader = &mut world.kubos[0].repository;
    reader.run(&["config", "Routing.Type", "delegated"])?;
    reader.run(&["config", "--json", "Provide.Enabled", "false"])?;
    reader.run(&["config", "--json", "Routing.DelegatedRouters", r#"["http://20.1.0.1:7404"]"#])?;
    reader.stop()?;
    reader.start()?;
    ensure!(reader.run(&["cat", &cid])? == format!("{text}\n"), "what came back differs");
    Ok(())
}

#[test]
fn what_is_pinned_is_found_in_the_dht_by_who_is_not_told() -> Result<()> {
    let mut world = World::start(4)?;
    let text = "announced by Pinrail ".repeat(50_000);
    let (cid, origin) = (world.kubos[3].repository.add(&text)?, world.kubos[3].address.clone());
    let bootstrap = world.kubos[0].address.clone();
    world.start_pinrail(&["--bootstrap", &bootstrap, "--routers", "none"])?;
    let delegates = world.pin(&cid, &[origin])?.delegates;
    let id = delegates.iter().find_map(|address| Some(address.rsplit_once("/p2p/")?.1)).context("no peer id")?;
    world.kubos[3].repository.stop()?;
    let reader = &world.kubos[2].repository;
    let find = ["routing", "findprovs", "--num-providers=1", &cid];
    eventually(FOUND, "provider record", || Ok(reader.run(&find)?.contains(id)))?;
    ensure!(reader.run(&["cat", &cid])? == format!("{text}\n"), "what came back differs");
    Ok(())
}
