//! What people do with `ipfs pin remote`, each scenario with a Kubo and a Pinrail of its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pinrail_e2e::eventually;
use serde_json::json;

use super::{Service, World};

const ALL_STATUSES: &str = "--status=queued,pinning,pinned,failed";
/// Nobody has it.
const NOWHERE: &str = "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi";
/// How long a pin may take that is near and small.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn service_ls_stat_of_an_empty_account_is_all_zeros() -> Result<()> {
    let world = World::start()?;
    let service = world.service("empty")?;
    ensure_stat(&world, &service, "0/0/0/0")
}

#[test]
fn service_ls_stat_counts_by_status() -> Result<()> {
    let world = World::start()?;
    let service = world.service("counted")?;
    for text in ["counted one", "counted two"] {
        let cid = world.kubo.add(text)?;
        world.remote(&service, "add", &[&cid])?;
    }
    ensure_stat(&world, &service, "0/0/2/0")
}

fn ensure_stat(world: &World, service: &Service, wanted: &str) -> Result<()> {
    let list = world.kubo.run(&["pin", "remote", "service", "ls", "--stat"])?;
    let line = list.lines().find(|line| line.split_whitespace().next() == Some(service.name));
    let line = line.with_context(|| format!("{} is not listed: {list}", service.name))?;
    ensure!(line.ends_with(wanted), "`{line}`, wanted {wanted}");
    Ok(())
}

#[test]
fn a_wrong_path_is_invalid_and_says_404() -> Result<()> {
    let world = World::start()?;
    let service = world.service("path")?;
    let endpoint = format!("{}/nowhere", world.endpoint());
    let name = "path-wrong";
    world.kubo.run(&["pin", "remote", "service", "add", name, &endpoint, &service.token])?;
    let wrong = Service { name, ..service };
    ensure_stat(&world, &wrong, "invalid")?;
    let said = world.remote_refused(&wrong, "ls", &[])?;
    ensure!(said.contains("404"), "{said}");
    Ok(())
}

#[test]
fn a_wrong_token_shows_the_servers_reason() -> Result<()> {
    let world = World::start()?;
    let service = world.service("token")?;
    let name = "token-wrong";
    world.kubo.run(&["pin", "remote", "service", "add", name, &world.endpoint(), "no-token"])?;
    let wrong = Service { name, ..service };
    ensure_stat(&world, &wrong, "invalid")?;
    let said = world.remote_refused(&wrong, "ls", &[])?;
    ensure!(said.contains("UNAUTHORIZED"), "{said}");
    Ok(())
}

#[test]
fn add_in_the_foreground_returns_when_pinned() -> Result<()> {
    let world = World::start()?;
    let service = world.service("foreground")?;
    let cid = world.kubo.add("pinned in the foreground")?;
    world.remote(&service, "add", &["--name=front", &cid])?;
    let list = world.remote(&service, "ls", &["--name=front"])?;
    ensure!(list == format!("{cid}\tpinned\tfront\n"), "{list}");
    Ok(())
}

#[test]
fn add_in_the_background_is_listed_as_queued_or_pinning() -> Result<()> {
    let world = World::start()?;
    let service = world.service("background")?;
    world.remote(&service, "add", &["--background", "--name=wanted", NOWHERE])?;
    let waiting = world.remote(&service, "ls", &["--status=queued,pinning"])?;
    ensure!(waiting.starts_with(NOWHERE) && waiting.ends_with("\twanted\n"), "{waiting}");
    let pinned = world.remote(&service, "ls", &[])?;
    ensure!(pinned.is_empty(), "listed as pinned: {pinned}");
    let cid = world.kubo.add("pinned in the background")?;
    world.remote(&service, "add", &["--background", "--name=back", &cid])?;
    eventually(PATIENCE, "pinned", || Ok(world.remote(&service, "ls", &["--name=back"])?.contains("\tpinned\t")))?;
    let all = world.remote(&service, "ls", &[ALL_STATUSES])?;
    ensure!(all.lines().count() == 2, "{all}");
    Ok(())
}

#[test]
fn ls_goes_through_more_than_one_page() -> Result<()> {
    let world = World::start()?;
    let service = world.service("pages")?;
    let cid = world.kubo.add("pinned many times")?;
    world.remote(&service, "add", &[&cid])?;
    for number in 1..=24 {
        service.client.add_pin(&cid, &format!("copy {number}"), &[])?;
    }
    let list = world.remote(&service, "ls", &[ALL_STATUSES])?;
    let mut names: Vec<&str> = list.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    ensure!(names.len() == 25, "{} of 25 pins: {list}", names.len());
    names.sort_unstable();
    names.dedup();
    ensure!(names.len() == 25, "a pin is listed twice: {list}");
    Ok(())
}

#[test]
fn ls_by_cid_finds_a_v0_by_its_v1() -> Result<()> {
    let world = World::start()?;
    let service = world.service("by-cid")?;
    // More than one block, so that its root is dag-pb and has a v0.
    let v1 = world.kubo.add(&"a file of several blocks ".repeat(20_000))?;
    let v0 = world.kubo.run(&["cid", "format", "-v", "0", &v1])?.trim().to_owned();
    world.remote(&service, "add", &["--name=old", &v0])?;
    let other = world.kubo.add("another one")?;
    world.remote(&service, "add", &["--name=other", &other])?;
    let list = world.remote(&service, "ls", &[&format!("--cid={v1}")])?;
    ensure!(list == format!("{v0}\tpinned\told\n"), "{list}");
    Ok(())
}

#[test]
fn rm_by_name_refuses_two_matches_without_force() -> Result<()> {
    let world = World::start()?;
    let service = world.service("by-name")?;
    for text in ["popular one", "popular two"] {
        let cid = world.kubo.add(text)?;
        world.remote(&service, "add", &["--name=popular", &cid])?;
    }
    let lonely = world.kubo.add("lonely")?;
    world.remote(&service, "add", &["--name=lonely", &lonely])?;
    let said = world.remote_refused(&service, "rm", &["--name=popular"])?;
    ensure!(said.contains("--force"), "{said}");
    world.remote(&service, "rm", &["--name=popular", "--force"])?;
    let list = world.remote(&service, "ls", &[ALL_STATUSES])?;
    ensure!(list == format!("{lonely}\tpinned\tlonely\n"), "{list}");
    Ok(())
}

#[test]
fn rm_force_removes_all() -> Result<()> {
    let world = World::start()?;
    let service = world.service("all")?;
    let cid = world.kubo.add("to be removed with all others")?;
    world.remote(&service, "add", &[&cid])?;
    world.remote(&service, "add", &["--background", NOWHERE])?;
    world.remote(&service, "rm", &["--force", ALL_STATUSES])?;
    let list = world.remote(&service, "ls", &[ALL_STATUSES])?;
    ensure!(list.is_empty(), "{list}");
    ensure_stat(&world, &service, "0/0/0/0")
}

#[test]
fn rm_cid_removes_one() -> Result<()> {
    let world = World::start()?;
    let service = world.service("one-cid")?;
    let [gone, kept] = [world.kubo.add("to be removed")?, world.kubo.add("to be kept")?];
    for cid in [&gone, &kept] {
        world.remote(&service, "add", &[cid])?;
    }
    world.remote(&service, "rm", &[&format!("--cid={gone}")])?;
    let list = world.remote(&service, "ls", &[])?;
    ensure!(list == format!("{kept}\tpinned\t\n"), "{list}");
    Ok(())
}

#[test]
fn kubo_reads_what_only_pinrail_holds() -> Result<()> {
    let world = World::start()?;
    let service = world.service("read-back")?;
    let text = "held by Pinrail alone ".repeat(50_000);
    let cid = world.kubo.add(&text)?;
    world.remote(&service, "add", &[&cid])?;
    world.kubo.run(&["pin", "rm", &cid])?;
    world.kubo.run(&["repo", "gc"])?;
    ensure!(!world.kubo.run(&["refs", "local"])?.contains(&cid), "Kubo still has {cid}");
    ensure!(world.kubo.run(&["cat", &cid])? == format!("{text}\n"), "what came back differs");
    Ok(())
}

/// Blocks that Kubo pins although no encoder should write them.
#[test]
fn blocks_that_are_not_canonical_are_pinned_as_kubo_pins_them() -> Result<()> {
    let world = World::start()?;
    let service = world.service("odd")?;
    let (open, close) = ("[".repeat(500), "]".repeat(500));
    let nested = format!("{open}{close}");
    // {Links: [{Hash: the identity CID of nothing, Name: not UTF-8}]}
    let not_text = b"\x12\x0a\x0a\x04\x01\x55\x00\x00\x12\x02\xff\xfe";
    for (codec, block) in [
        ("dag-cbor", &b"\x82\xf7\xf9\x7e\x00"[..]),
        ("dag-cbor", b"\xbf\x61a\x9f\x01\xff\xff"),
        ("dag-pb", not_text),
        ("dag-json", br#"{"/":{"bytes":"AA=="}}"#),
        ("dag-json", nested.as_bytes()),
    ] {
        let cid = world.kubo.put_block(codec, block)?;
        world.kubo.run(&["pin", "add", &cid])?;
        world.remote(&service, "add", &[&cid]).with_context(|| format!("{codec}, {block:x?}"))?;
    }
    ensure_stat(&world, &service, "0/0/5/0")
}

#[test]
fn the_mfs_root_is_pinned_by_name_and_again_on_change() -> Result<()> {
    let world = World::start()?;
    let service = world.service("mfs")?;
    let policy = json!({ "Enable": true, "PinName": "mfs-root", "RepinInterval": "1s" }).to_string();
    let place = format!("Pinning.RemoteServices.{}.Policies.MFS", service.name);
    world.kubo.run(&["config", "--json", &place, &policy])?;
    let result = ["first", "second"].iter().try_for_each(|folder| {
        world.kubo.run(&["files", "mkdir", &format!("/{folder}")])?;
        let root = world.kubo.run(&["files", "stat", "--hash", "/"])?.trim().to_owned();
        let wanted = format!("{root}\tpinned\tmfs-root\n");
        eventually(PATIENCE, "a pin of the MFS root", || {
            Ok(world.remote(&service, "ls", &["--name=mfs-root", ALL_STATUSES])? == wanted)
        })
    });
    // Or the daemon goes on pinning while other scenarios run.
    world.kubo.run(&["config", "--json", &place, r#"{"Enable":false,"PinName":"","RepinInterval":""}"#])?;
    result
}

/// Its only address leads nowhere, as behind a NAT; it dials the delegates of the answer itself.
#[test]
fn a_node_that_cannot_be_dialled_dials_the_delegates() -> Result<()> {
    let mut world = World::start()?;
    let service = world.service("nat")?;
    let nowhere = r#"["/ip4/127.0.0.1/tcp/9"]"#;
    world.kubo.run(&["config", "--json", "Addresses.Announce", nowhere])?;
    world.kubo.stop()?;
    world.kubo.start()?;
    let cid = world.kubo.add("from behind a NAT")?;
    world.remote(&service, "add", &["--name=nat", &cid])?;
    let list = world.remote(&service, "ls", &["--name=nat"])?;
    ensure!(list == format!("{cid}\tpinned\tnat\n"), "{list}");
    Ok(())
}

#[test]
fn add_while_offline_warns() -> Result<()> {
    let mut world = World::start()?;
    let service = world.service("offline")?;
    world.kubo.stop()?;
    let cid = world.kubo.add("added while offline")?;
    let said = world.remote(&service, "add", &["--background", &cid])?;
    ensure!(said.contains("WARNING: the local node is offline"), "{said}");
    world.kubo.start()?;
    let list = world.remote(&service, "ls", &[ALL_STATUSES])?;
    ensure!(list.starts_with(&cid), "{list}");
    Ok(())
}
