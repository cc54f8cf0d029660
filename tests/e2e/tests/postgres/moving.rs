//! A Pinrail that moves to another database, and one that is restored from a backup: what is pinned is served again.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use pinrail_chaos::Kind;
use pinrail_e2e::{Fixture, fresh_database};
use pinrail_testbed::instance::pins::Pinned;
use pinrail_testbed::instance::provider::Provider;

use crate::checks::{PATIENCE, ensure_served, provide_sample};

/// From the server to a file and on to the server again; nothing is fetched anew, for nobody provides it any more.
#[test]
fn what_is_pinned_stays_pinned_and_served_from_one_kind_of_database_to_the_other_and_back() -> Result<()> {
    let mut fixture = Fixture::start(Kind::Postgres)?;
    let (path, provider) = provide_sample(&fixture)?;
    let request = fixture.client.add_pin(&provider.cid, "moved", &provider.addresses)?;
    fixture.client.follow(&request, PATIENCE, |_| ())?;
    provider.stop()?;
    let file = fixture.instance.data().join("pinrail.db");
    let url = fresh_database(Kind::Postgres)?.context("there is a server")?;
    for to in [None, Some(url)] {
        stop(&mut fixture)?;
        let target = to.clone().unwrap_or_else(|| file.display().to_string());
        fixture.instance.command(&["database", "copy", "--to", &target])?;
        fixture.instance = fixture.instance.clone().on(to);
        fixture.restart()?;
        let pinned = fixture.client.find_pinned(&request)?.context("what was pinned is not")?;
        ensure_served(&fixture, &pinned.cid, &pinned.delegates, &path)?;
    }
    Ok(())
}

/// The blocks are those that were there, and some that the backup calls pinned were given up since: their node was told
/// epochs that the restored database knows nothing of.
#[test]
fn a_backup_beside_blocks_that_are_younger_has_all_pinned_again() -> Result<()> {
    let mut fixture = Fixture::start(Kind::Postgres)?;
    let (path, provider) = provide_sample(&fixture)?;
    let kept = fixture.folder.path().join("kept");
    fs::create_dir(&kept)?;
    fs::write(kept.join("only.txt"), "of this nobody but the service has a copy")?;
    let other = Provider::start(&fixture.instance, &kept)?;
    let add = |cid: &str, name: &str, addresses: &[String]| fixture.client.add_pin(cid, name, addresses);
    let lost = add(&provider.cid, "given up", &provider.addresses)?;
    let whole = add(&other.cid, "kept", &other.addresses)?;
    for request in [&lost, &whole] {
        fixture.client.follow(request, PATIENCE, |_| ())?;
    }
    other.stop()?;
    let backup = back_up(&fixture)?;
    fixture.client.delete(&format!("/pins/{lost}"))?.expect(202)?;
    // Wanted again and given up again, its epochs run ahead of the backup's.
    let again = fixture.client.add_pin(&provider.cid, "again", &provider.addresses)?;
    fixture.client.follow(&again, PATIENCE, |_| ())?;
    fixture.client.delete(&format!("/pins/{again}"))?.expect(202)?;
    restore(&mut fixture, &backup)?;
    ensure_same_pins(&fixture, &[(&lost, &path), (&whole, &kept)])?;
    fixture.client.get(&format!("/pins/{again}"))?.expect(404)?;
    provider.stop()
}

/// The machine is another one: its node has nothing, and takes over what the old one held.
#[test]
fn a_backup_and_no_blocks_has_a_new_node_fetch_all_of_it() -> Result<()> {
    let mut fixture = Fixture::start(Kind::Postgres)?;
    let (path, provider) = provide_sample(&fixture)?;
    let request = fixture.client.add_pin(&provider.cid, "restored", &provider.addresses)?;
    fixture.client.follow(&request, PATIENCE, |_| ())?;
    let backup = back_up(&fixture)?;
    let nodes = fixture.instance.command(&["node", "list", "--json"])?;
    let nodes: serde_json::Value = serde_json::from_str(&nodes)?;
    let old = nodes[0]["id"].as_str().context("a node has an id")?.to_owned();
    fixture.kill()?;
    for folder in ["node", "blocks", "keys"] {
        fs::remove_dir_all(fixture.instance.data().join(folder))?;
    }
    restore(&mut fixture, &backup)?;
    fixture.instance.command(&["node", "retire", &old])?;
    ensure_same_pins(&fixture, &[(&request, &path)])?;
    provider.stop()
}

/// Take a backup while everything runs.
fn back_up(fixture: &Fixture) -> Result<String> {
    let file = fixture.folder.path().join("backup.tar").display().to_string();
    fixture.instance.command(&["backup", "--to", &file])?;
    Ok(file)
}

/// End both binaries as a power cut does, and start them on what the backup holds, in another database.
fn restore(fixture: &mut Fixture, backup: &str) -> Result<()> {
    fixture.kill()?;
    fixture.instance = fixture.instance.clone().on(fresh_database(Kind::Postgres)?);
    fixture.instance.command(&["restore", "--from", backup])?;
    fixture.restart()
}

/// Whether each request is pinned with the token from before, and served.
fn ensure_same_pins(fixture: &Fixture, wanted: &[(&str, &Path)]) -> Result<()> {
    for (request, path) in wanted {
        let Pinned { cid, delegates, .. } = fixture.client.follow(request, PATIENCE, |_| ())?;
        ensure_served(fixture, &cid, &delegates, path)?;
    }
    Ok(())
}

fn stop(fixture: &mut Fixture) -> Result<()> {
    for running in [fixture.worker.take(), fixture.api.take()].into_iter().flatten() {
        let status = running.stop()?;
        ensure!(status.success(), "it ended with {status}");
    }
    Ok(())
}
