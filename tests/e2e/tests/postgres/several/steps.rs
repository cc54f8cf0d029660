//! The steps of two machines on one database, each on what those before it left.

use std::fs;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use pinrail_chaos::{Clock, postgres_triggers};
use pinrail_e2e::ACCOUNT;
use pinrail_testbed::child::Running;
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::client::{Client, is_ready};
use pinrail_testbed::instance::ports::Ports;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::instance::sample;
use serde_json::Value;

use super::machines::{LEASE, Machines};
use crate::checks::{PATIENCE, ensure_served_by};

pub fn an_api_waits_for_its_schema_and_of_two_that_migrate_at_once_one_makes_it(machines: &mut Machines) -> Result<()> {
    let [first, second] = &machines.homes;
    let mut command = first.api();
    command.args(["serve", "--listen", &format!("127.0.0.1:{}", first.ports.api)]);
    let mut early = Running::start("pinrail-api", command, &first.logs().join("early.log"))?;
    let mut text = String::new();
    let log = first.logs().join("early.log");
    early.wait_until(PATIENCE, "word about the schema", || {
        text = fs::read_to_string(&log).unwrap_or_default();
        text.contains("pinrail-api migrate")
    })?;
    let ready = format!("http://127.0.0.1:{}/health/ready", first.ports.api);
    ensure!(!is_ready(&ready), "it is ready without a schema");
    let printed = thread::scope(|scope| {
        let migrating = [first, second].map(|home| scope.spawn(|| home.command(&["migrate"])));
        migrating.map(|thread| thread.join().expect("it only runs a program"))
    });
    let mut ran = Vec::new();
    for printed in printed {
        ran.extend(printed?.lines().filter(|line| line.starts_with("ran ")).map(str::to_owned));
    }
    let distinct: std::collections::BTreeSet<&String> = ran.iter().collect();
    ensure!(!ran.is_empty() && distinct.len() == ran.len(), "what the two ran: {ran:?}");
    early.wait_until(PATIENCE, "readiness", || is_ready(&ready))?;
    machines.apis.push(early);
    machines.sql(&postgres_triggers(LEASE)).map(drop)
}

pub fn a_token_of_one_machine_counts_on_all_until_it_or_its_key_is_revoked(machines: &mut Machines) -> Result<()> {
    let [first, second] = machines.homes.clone();
    first.ensure_account(ACCOUNT)?;
    let before = first.mint_token(ACCOUNT, "before")?;
    machines.apis.push(second.start_api()?);
    first.command(&["key", "rotate"])?;
    let doomed = first.json(&["token", "mint", ACCOUNT, "--name", "doomed", "--json"])?;
    let (id, doomed) = (doomed["id"].as_str().context("no id")?, doomed["token"].as_str().context("no token")?);
    let ask = |home: &Instance, token: &str, status| Client::new(&home.endpoint(), token).get("/pins")?.expect(status);
    for home in [&first, &second] {
        ask(home, &before, 200)?;
        ask(home, doomed, 200)?;
    }
    first.command(&["token", "revoke", id])?;
    for home in [&second, &first] {
        let refused = ask(home, doomed, 401)?;
        ensure!(refused["error"]["reason"] == "UNAUTHORIZED", "{refused}");
        ask(home, &before, 200)?;
    }
    let last = first.mint_token(ACCOUNT, "last")?;
    ask(&second, &last, 200)?;
    // The key that signed the first ones was the first; everything that it signed ends with it.
    first.command(&["key", "revoke", "1"])?;
    for home in [&second, &first] {
        ask(home, &before, 401)?;
        ask(home, &last, 200)?;
    }
    machines.clients = [&first, &second].map(|home| Client::new(&home.endpoint(), &last)).into();
    Ok(())
}

pub fn the_node_is_chosen_at_post_and_its_addresses_are_the_delegates(machines: &mut Machines) -> Result<()> {
    for place in 0..2 {
        // One after the other: of two that have nothing to do the older one is chosen.
        machines.workers[place] = Some(machines.homes[place].start_worker()?);
    }
    machines.nodes = machines.list_nodes()?.iter().map(|node| node["id"].as_str().unwrap_or_default().into()).collect();
    ensure!(machines.nodes.len() == 2, "{:?}", machines.list_nodes()?);
    let late = machines.folder.path().join("late");
    fs::write(&late, "late")?;
    sample::write(&machines.sample())?;
    let provider = Provider::start(&machines.homes[0], &machines.sample())?;
    let (pinned, node) = machines.add(1, &provider.cid, &provider.addresses)?;
    ensure!(node == 0, "the first of two idle nodes is chosen");
    machines.follow(&pinned)?;
    provider.stop()?;
    let (unfinished, node) = machines.add(0, &machines.cid_of(&late)?, &[])?;
    ensure!(node == 0, "it is idle again");
    (machines.pinned, machines.unfinished) = (pinned, unfinished);
    Ok(())
}

/// The first node is waiting for what nobody has, so a new root goes to the second; only the first has its blocks.
pub fn what_one_worker_holds_the_other_fetches_from_it(machines: &mut Machines) -> Result<()> {
    let part = machines.cid_of(&machines.sample().join(sample::LARGE))?;
    let (request, node) = machines.add(0, &part, &[])?;
    ensure!(node == 1, "the first node has more to do");
    machines.follow(&request).map(drop)
}

/// The first worker is gone for good, as far as anybody can tell.
pub fn what_a_dead_worker_has_not_finished_another_one_does(machines: &mut Machines) -> Result<()> {
    machines.workers[0].take().context("it does not run")?.kill()?;
    machines.sql("UPDATE nodes SET heartbeat = heartbeat - 600000 WHERE key = (SELECT MIN(key) FROM nodes)")?;
    let states: Vec<Value> = machines.list_nodes()?.iter().map(|node| node["state"].clone()).collect();
    ensure!(states == ["silent", "live"], "{states:?}");
    let says_silent = |status: &Value| -> Result<bool> {
        ensure!(status["status"] == "pinned", "{status}");
        Ok(status["info"]["status_details"].as_str().is_some_and(|text| text.contains("not been heard of")))
    };
    machines.until(&machines.pinned, "said to be silent", says_silent)?;
    machines.until(&machines.unfinished, "taken over", |status| Ok(machines.node_of(status)? == 1))?;
    let provider = Provider::start(&machines.homes[0], &machines.folder.path().join("late"))?;
    machines.add(1, &provider.cid, &provider.addresses)?;
    machines.follow(&machines.unfinished)?;
    provider.stop()?;
    machines.workers[0] = Some(machines.homes[0].start_worker()?);
    machines.until(&machines.pinned, "heard of again", |status| Ok(!says_silent(status)?))
}

/// Only the first worker has the sample. Its operator retires it, and stops it once the sample is elsewhere.
pub fn what_a_retired_node_held_is_fetched_from_it_by_others(machines: &mut Machines) -> Result<()> {
    machines.homes[1].command(&["node", "retire", &machines.nodes[0]])?;
    machines.until(&machines.pinned, "fetched by the other", |status| {
        Ok(status["status"] == "pinned" && machines.node_of(status)? == 1)
    })?;
    let pinned = machines.follow(&machines.pinned)?;
    machines.workers[0].take().context("it does not run")?.stop()?;
    let states: Vec<Value> = machines.list_nodes()?.iter().map(|node| node["state"].clone()).collect();
    ensure!(states == ["retired", "live"], "{states:?}");
    let fetched = machines.folder.path().join("fetched");
    ensure_served_by(&machines.homes[1], &fetched, &pinned.cid, &pinned.delegates, &machines.sample())
}

pub fn an_api_whose_clock_is_an_hour_ahead_makes_nobody_wait(machines: &mut Machines) -> Result<()> {
    let clock = Clock::start()?;
    clock.advance(1)?;
    let (home, ports) = (&machines.homes[0], Ports::free()?);
    let mut command = home.api();
    command.args(["serve", "--listen", &format!("127.0.0.1:{}", ports.api)]);
    clock.show(&mut command);
    let mut ahead = Running::start("pinrail-api", command, &home.logs().join("ahead.log"))?;
    let endpoint = format!("http://127.0.0.1:{}", ports.api);
    ahead.wait_until(PATIENCE, "readiness", || is_ready(&format!("{endpoint}/health/ready")))?;
    let path = machines.folder.path().join("ahead");
    fs::write(&path, "ahead")?;
    let provider = Provider::start(home, &path)?;
    let client = Client::new(&endpoint, &machines.homes[0].mint_token(ACCOUNT, "ahead")?);
    let request = client.add_pin(&provider.cid, "ahead", &provider.addresses)?;
    machines.follow(&request)?;
    let (now, later) = (client.get("/pins?limit=1")?, machines.clients[0].get("/pins?limit=1")?);
    ensure!(now.body == later.body, "another clock, another answer: {} and {}", now.body, later.body);
    provider.stop()
}

pub fn todays_programs_run_on_a_schema_one_step_ahead(machines: &mut Machines) -> Result<()> {
    machines.sql(
        "ALTER TABLE roots ADD COLUMN later BIGINT;
        INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001')",
    )?;
    let printed = machines.homes[1].command(&["migrate"])?;
    ensure!(!printed.contains("ran "), "{printed}");
    // The one that was running meanwhile goes on, and so do those that start now.
    machines.clients[1].get("/pins")?.expect(200)?;
    machines.clients[1].add_pin("bafkqaaa", "ahead", &[])?;
    machines.apis.remove(0).stop()?;
    machines.apis.insert(0, machines.homes[0].start_api()?);
    machines.workers[1].take().context("it does not run")?.stop()?;
    machines.workers[1] = Some(machines.homes[1].start_worker()?);
    let path = machines.folder.path().join("newer");
    fs::write(&path, "newer")?;
    let provider = Provider::start(&machines.homes[0], &path)?;
    let (request, _) = machines.add(0, &provider.cid, &provider.addresses)?;
    machines.follow(&request)?;
    provider.stop()
}

/// What was watched all the while: leases of one root that overlap, roots that became pinned under none.
pub fn no_root_was_done_by_two_at_one_time(machines: &mut Machines) -> Result<()> {
    let breaches = machines.sql("SELECT what FROM chaos_breaches ORDER BY key")?;
    ensure!(breaches.trim().is_empty(), "{breaches}");
    let leased = machines.sql("SELECT count(*) FROM roots WHERE state = 'pinned' AND epoch % 65536 > 1")?;
    ensure!(leased.trim().parse::<u32>()? > 3, "only {leased} roots were leased at all");
    Ok(())
}
