//! The two binaries together on PostgreSQL: all that holds on SQLite, and what only a server can do to them.

mod moving;
mod several;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pinrail_chaos::Kind;
use pinrail_e2e::{Fixture, durable, fresh_database, server};
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::instance::sample;
use pinrail_testbed::postgres::Server;
use serde_json::json;

use crate::checks::{PATIENCE, SERVE_ANYWHERE, ensure_refused_in_a_line, ensure_served, provide_sample};

crate::checks::on_database!(Kind::Postgres);

#[test]
fn what_was_fetched_for_a_worker_that_was_killed_is_fetched_on() -> Result<()> {
    let mut fixture = Fixture::start(Kind::Postgres)?;
    let path = fixture.folder.path().join("sample");
    sample::write(&path)?;
    let provider = Provider::start(&fixture.instance, &path)?;
    let (cid, addresses) = (provider.cid.clone(), provider.addresses.clone());
    let request = fixture.client.add_pin(&cid, "killed", &addresses)?;
    if let Some(worker) = fixture.worker.take() {
        worker.kill()?;
    }
    fixture.worker = Some(fixture.instance.start_worker()?);
    let pinned = fixture.client.follow(&request, PATIENCE, |_| ())?;
    provider.stop()?;
    ensure_served(&fixture, &pinned.cid, &pinned.delegates, &path)
}

/// The API answers 503 meanwhile, nothing is lost, and it goes on by itself.
#[test]
fn a_server_goes_and_comes_back() -> Result<()> {
    let server = Server::start(&durable())?;
    let mut fixture = Fixture::prepare_on(Some(server.url(&server.create()?)))?;
    fixture.restart()?;
    let (path, provider) = provide_sample(&fixture)?;
    let before = fixture.client.add_pin(&provider.cid, "before", &provider.addresses)?;
    server.crash();
    let pin = json!({ "cid": "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi" });
    let refused = fixture.client.post("/pins", &pin)?.expect(503)?;
    ensure!(refused["error"]["reason"] == "UNAVAILABLE", "{refused}");
    fixture.client.get(&format!("/pins/{before}"))?.expect(503)?;
    server.start_again()?;
    let pinned = fixture.client.follow(&before, PATIENCE, |_| ())?;
    let after = fixture.client.add_pin(&provider.cid, "after", &provider.addresses)?;
    fixture.client.follow(&after, Duration::from_secs(20), |_| ())?;
    provider.stop()?;
    let list = fixture.client.get("/pins?status=queued,pinning,pinned,failed")?.expect(200)?;
    ensure!(list["count"] == 2, "what was refused is kept: {list}");
    ensure_served(&fixture, &pinned.cid, &pinned.delegates, &path)
}

#[test]
fn a_database_that_is_not_named_rightly_or_not_reached_is_refused_in_one_line() -> Result<()> {
    let fixture = Fixture::prepare(Kind::Postgres)?;
    let nowhere = "postgres://pinrail@127.0.0.1:1/pinrail";
    for database in [nowhere, "postgres://pinrail@127.0.0.1", "mysql://pinrail@db/pinrail"] {
        let mut command = fixture.instance.api();
        command.args(["account", "list", "--database", database]);
        ensure_refused_in_a_line(command)?;
        // For a server that does not answer the worker waits: it may be starting.
        if database != nowhere {
            let mut command = fixture.instance.worker();
            command.args(SERVE_ANYWHERE).args(["--database", database]);
            ensure_refused_in_a_line(command)?;
        }
    }
    Ok(())
}

/// What makes a migrated database one that must not be used, and a word of what is said of it.
const UNUSABLE: &[(&str, &str)] = &[
    ("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE invoices (n INT)", "another program's tables"),
    (
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000001');
        UPDATE service SET needs = '29990101000001'",
        "was migrated by a newer version",
    ),
    (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
        "is read only",
    ),
];

#[test]
fn a_database_that_cannot_be_used_is_refused_in_one_line_by_both_binaries() -> Result<()> {
    for (how, word) in UNUSABLE {
        let fixture = Fixture::prepare(Kind::Postgres)?;
        let url = fresh_database(Kind::Postgres)?.context("there is a server")?;
        let name = url.rsplit('/').next().context("the URL names a database")?;
        let instance = fixture.instance.on(Some(url.clone()));
        instance.migrate()?;
        server()?.sql(name, how)?;
        let mut api = instance.api();
        api.args(["serve", "--listen", "127.0.0.1:0"]);
        let mut worker = instance.worker();
        worker.args(SERVE_ANYWHERE);
        let mut migrate = instance.api();
        migrate.arg("migrate");
        for command in [api, worker, migrate] {
            let told = ensure_refused_in_a_line(command)?;
            ensure!(told.contains(word), "{told}");
        }
    }
    Ok(())
}
