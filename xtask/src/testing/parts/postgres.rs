//! The two binaries together on PostgreSQL: all that holds on SQLite, and what only a server can do to them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pinrail_postgres_fixture::{Server, ServerOptions};
use serde_json::json;

use super::moving;
use super::several;
use super::together::{
    CHECKS, Check, PATIENCE, SERVE_ANYWHERE, ensure_refused_in_a_line, ensure_served, provide_sample,
};
use crate::instance::provider::Provider;
use crate::instance::sample;
use crate::progress::Step;
use crate::testing::fixture::Fixture;
use crate::testing::part::{Context, Part, Tally};
use crate::tools::postgres;

pub const POSTGRES: Part = Part {
    name: "postgres",
    about: "both binaries on PostgreSQL: the same, several of each, and the server restarted under them",
    run: on_postgres,
};

/// What needs a server that stays as it is.
const ON_A_SERVER: &[(&str, Check)] = &[
    ("what was fetched for a worker that was killed with -9 is fetched on", worker_killed),
    ("a database that is not named rightly or not reached is refused in one line", wrong_places),
    ("what is pinned stays pinned and served from one kind of database to the other and back", moving::copied),
    ("a backup beside blocks that are younger: all is pinned again", moving::restored_beside_younger_blocks),
    ("a backup and no blocks: a new node fetches all of it", moving::restored_without_blocks),
];

fn on_postgres(context: &Context, step: &Step) -> Result<Tally> {
    postgres::ensure(&context.environment, step)?;
    context.binaries(step)?;
    let server = Arc::new(Server::start(&ServerOptions { durable: true, ..ServerOptions::default() })?);
    let context = context.on(&server);
    let mut tally = Tally::default();
    for (name, check) in CHECKS.iter().chain(ON_A_SERVER) {
        step.detail(name);
        tally.check(name, check(&context, step));
    }
    several::add_to(&mut tally, &context, &server, step);
    let name = "a database that cannot be used is refused in one line by both binaries";
    step.detail(name);
    tally.check(name, unusable(&context, &server, step));
    let name = "a server that goes and comes back: 503 meanwhile, nothing lost, on by itself";
    step.detail(name);
    tally.check(name, server_restarted(&context, &server, step));
    Ok(tally)
}

fn worker_killed(context: &Context, step: &Step) -> Result<()> {
    let mut fixture = Fixture::start(context, step)?;
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

fn server_restarted(context: &Context, server: &Server, step: &Step) -> Result<()> {
    let fixture = Fixture::start(context, step)?;
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

fn wrong_places(context: &Context, step: &Step) -> Result<()> {
    let fixture = Fixture::prepare(context, step)?;
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

fn unusable(context: &Context, server: &Server, step: &Step) -> Result<()> {
    for (how, word) in UNUSABLE {
        let fixture = Fixture::prepare(context, step)?;
        let url = context.fresh_database()?.context("there is a server")?;
        let name = url.rsplit('/').next().context("the URL names a database")?;
        let instance = fixture.instance.on(Some(url.clone()));
        instance.migrate()?;
        server.sql(name, how)?;
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
