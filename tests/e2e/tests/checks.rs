//! What no test of one crate can see of the two binaries, on either kind of database.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use pinrail_chaos::Kind;
use pinrail_e2e::{ACCOUNT, Fixture};
use pinrail_testbed::command::run;
use pinrail_testbed::instance::Instance;
use pinrail_testbed::instance::ports::Ports;
use pinrail_testbed::instance::provider::Provider;
use pinrail_testbed::instance::sample;
use serde_json::{Value, json};

/// How long a small pin may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Declares a test for each check of both binaries, on one kind of database.
macro_rules! on_database {
    ($kind:expr) => {
        $crate::checks::on_database!($kind;
            a_pin_is_fetched_kept_served_and_gone_when_deleted,
            what_one_of_two_workers_holds_the_other_fetches_from_it,
            replace_answers_with_the_new_pin_alone_and_keeps_the_old_data_until_then,
            what_was_answered_202_outlives_a_kill_9_of_both_binaries,
            what_was_pinned_is_whole_after_a_kill_9,
            before_any_worker_ran_a_pin_is_refused_and_nothing_is_kept,
            both_binaries_stop_cleanly_on_sigterm,
            a_second_worker_on_the_same_data_folder_is_refused_in_one_line,
            a_port_in_use_is_refused_in_one_line,
            a_token_without_a_scope_is_refused_what_it_does_not_name,
        );
    };
    ($kind:expr; $($check:ident,)+) => {
        $(
            #[test]
            fn $check() -> anyhow::Result<()> {
                $crate::checks::$check($kind)
            }
        )+
    };
}
pub(crate) use on_database;

pub fn provide_sample(fixture: &Fixture) -> Result<(PathBuf, Provider)> {
    let path = fixture.folder.path().join("sample");
    sample::write(&path)?;
    let provider = Provider::start(&fixture.instance, &path)?;
    Ok((path, provider))
}

/// Whether a node that has nothing gets the whole folder from the delegates.
pub fn ensure_served(fixture: &Fixture, cid: &str, delegates: &[String], sample: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(fixture.folder.path())?;
    let output = folder.path().join("fetched");
    ensure_served_by(&fixture.instance, &output, cid, delegates, sample)
}

/// The same, with the data folder and the place to write to.
pub fn ensure_served_by(
    instance: &Instance,
    output: &Path,
    cid: &str,
    delegates: &[String],
    sample: &Path,
) -> Result<()> {
    let mut command = instance.worker();
    command.args(["fetch", cid]).arg("--output").arg(output);
    for delegate in delegates {
        command.args(["--from", delegate]);
    }
    run(command)?.success("pinrail-worker fetch")?;
    ensure!(sample::same(sample, output)?, "what is served differs from what was pinned");
    Ok(())
}

pub fn a_pin_is_fetched_kept_served_and_gone_when_deleted(kind: Kind) -> Result<()> {
    let fixture = Fixture::start(kind)?;
    let (path, provider) = provide_sample(&fixture)?;
    let request = fixture.client.add_pin(&provider.cid, "whole life", &provider.addresses)?;
    let pinned = fixture.client.follow(&request, PATIENCE, |_| ())?;
    provider.stop()?;
    ensure!(pinned.delegates.iter().all(|delegate| delegate.contains("/p2p/")), "{:?}", pinned.delegates);
    ensure_served(&fixture, &pinned.cid, &pinned.delegates, &path)?;

    let place = format!("/pins/{request}");
    fixture.client.delete(&place)?.expect(202)?;
    fixture.client.get(&place)?.expect(404)?;
    let gone = fixture.client.delete(&place)?.expect(404)?;
    ensure!(gone["error"]["reason"] == "NOT_FOUND", "{gone}");
    Ok(())
}

/// On one machine: the second worker has a data folder of its own, and none of the origins.
pub fn what_one_of_two_workers_holds_the_other_fetches_from_it(kind: Kind) -> Result<()> {
    let fixture = Fixture::start(kind)?;
    let (path, provider) = provide_sample(&fixture)?;
    let request = fixture.client.add_pin(&provider.cid, "whole", &provider.addresses)?;
    let first = fixture.client.follow(&request, PATIENCE, |_| ())?;
    provider.stop()?;
    let part = Provider::start(&fixture.instance, &path.join(sample::LARGE))?;
    let cid = part.cid.clone();
    part.stop()?;

    let second = fixture.instance.on_another_machine(&fixture.folder.path().join("second"), Ports::free()?)?;
    let worker = second.start_worker()?;
    // The first has something to do, so the next one is the second's.
    fixture.client.add_pin("bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi", "nobody has it", &[])?;
    let request = fixture.client.add_pin(&cid, "a part", &[])?;
    let pinned = fixture.client.follow(&request, PATIENCE, |_| ())?;
    ensure!(pinned.delegates != first.delegates, "the first worker was chosen again");
    ensure!(worker.stop()?.success(), "the second worker did not stop cleanly");
    Ok(())
}

pub fn replace_answers_with_the_new_pin_alone_and_keeps_the_old_data_until_then(kind: Kind) -> Result<()> {
    let fixture = Fixture::start(kind)?;
    let (path, provider) = provide_sample(&fixture)?;
    let old = fixture.client.add_pin(&provider.cid, "old", &provider.addresses)?;
    let pinned = fixture.client.follow(&old, PATIENCE, |_| ())?;
    provider.stop()?;
    // Nobody has the new one, so the old one's data is what the replace must not lose.
    let new = json!({ "cid": "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi", "name": "new" });
    let answer = fixture.client.post(&format!("/pins/{old}"), &new)?.expect(202)?;
    ensure!(answer["pin"]["name"] == "new", "{answer}");
    fixture.client.get(&format!("/pins/{old}"))?.expect(404)?;
    let list = fixture.client.get("/pins?status=queued,pinning,pinned,failed")?.expect(200)?;
    ensure!(list["count"] == 1, "{list}");
    ensure_served(&fixture, &pinned.cid, &pinned.delegates, &path)
}

pub fn what_was_answered_202_outlives_a_kill_9_of_both_binaries(kind: Kind) -> Result<()> {
    let mut fixture = Fixture::start(kind)?;
    let path = fixture.folder.path().join("sample");
    sample::write(&path)?;
    // Its provider comes only after the kill, so the fetch cannot have ended before it.
    let provider = Provider::start(&fixture.instance, &path)?;
    let cid = provider.cid.clone();
    provider.stop()?;
    let request = fixture.client.add_pin(&cid, "killed", &[])?;
    fixture.kill()?;
    fixture.restart()?;
    let status = fixture.client.get(&format!("/pins/{request}"))?.expect(200)?;
    ensure!(status["pin"]["cid"] == cid.as_str(), "{status}");
    let provider = Provider::start(&fixture.instance, &path)?;
    // A second request for the same root brings the origin with it.
    fixture.client.add_pin(&cid, "with an origin", &provider.addresses)?;
    let pinned = fixture.client.follow(&request, PATIENCE, |_| ())?;
    provider.stop()?;
    ensure_served(&fixture, &pinned.cid, &pinned.delegates, &path)
}

pub fn what_was_pinned_is_whole_after_a_kill_9(kind: Kind) -> Result<()> {
    let mut fixture = Fixture::start(kind)?;
    let (path, provider) = provide_sample(&fixture)?;
    let request = fixture.client.add_pin(&provider.cid, "pinned", &provider.addresses)?;
    fixture.client.follow(&request, PATIENCE, |_| ())?;
    provider.stop()?;
    fixture.kill()?;
    fixture.restart()?;
    let pinned = fixture.client.follow(&request, PATIENCE, |_| ())?;
    ensure_served(&fixture, &pinned.cid, &pinned.delegates, &path)
}

pub fn before_any_worker_ran_a_pin_is_refused_and_nothing_is_kept(kind: Kind) -> Result<()> {
    let mut fixture = Fixture::prepare(kind)?;
    fixture.api = Some(fixture.instance.start_api()?);
    let pin = json!({ "cid": "bafkreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi" });
    let refused = fixture.client.post("/pins", &pin)?.expect(503)?;
    ensure!(refused["error"]["reason"] == "NO_IPFS_NODE", "{refused}");
    let list = fixture.client.get("/pins?status=queued,pinning,pinned,failed")?.expect(200)?;
    ensure!(list["count"] == 0, "{list}");
    Ok(())
}

pub fn both_binaries_stop_cleanly_on_sigterm(kind: Kind) -> Result<()> {
    let mut fixture = Fixture::start(kind)?;
    for (name, running) in [("pinrail-worker", fixture.worker.take()), ("pinrail-api", fixture.api.take())] {
        let status = running.with_context(|| format!("{name} does not run"))?.stop()?;
        ensure!(status.success(), "{name} ended with {status}");
    }
    Ok(())
}

/// How a worker is started that is not to come up.
pub const SERVE_ANYWHERE: &[&str] = &["serve", "--health", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"];

pub fn a_second_worker_on_the_same_data_folder_is_refused_in_one_line(kind: Kind) -> Result<()> {
    let fixture = Fixture::start(kind)?;
    let mut command = fixture.instance.worker();
    command.args(SERVE_ANYWHERE);
    ensure_refused_in_a_line(command).map(drop)
}

pub fn a_port_in_use_is_refused_in_one_line(kind: Kind) -> Result<()> {
    let fixture = Fixture::start(kind)?;
    let held = TcpListener::bind("127.0.0.1:0")?;
    let mut command = fixture.instance.api();
    command.args(["serve", "--listen", &held.local_addr()?.to_string()]);
    ensure_refused_in_a_line(command).map(drop)
}

/// One line says what is wrong; a log may come before it, nothing else may; that line.
pub fn ensure_refused_in_a_line(mut command: Command) -> Result<String> {
    // Whoever asks for backtraces gets them.
    command.env_remove("RUST_BACKTRACE");
    let finished = run(command)?;
    ensure!(!finished.status.success(), "it was not refused");
    // A line of the log begins with its time.
    let is_told = |line: &&str| !line.starts_with(|first: char| first.is_ascii_digit());
    let told: Vec<&str> = finished.output.lines().filter(is_told).collect();
    ensure!(told.len() == 1 && told[0].starts_with("error: "), "wanted one line: {}", finished.output);
    Ok(told[0].to_owned())
}

pub fn a_token_without_a_scope_is_refused_what_it_does_not_name(kind: Kind) -> Result<()> {
    let fixture = Fixture::start(kind)?;
    let reader = fixture.instance.mint_scoped(ACCOUNT, "reader", &["pins:read"])?;
    let client = fixture.client_with(&reader);
    client.get("/pins")?.expect(200)?;
    let refused: Value = client.post("/pins", &json!({ "cid": "bafkqaaa" }))?.expect(403)?;
    if refused["error"]["reason"] != "FORBIDDEN" {
        bail!("the reason is {refused}, wanted FORBIDDEN");
    }
    let unknown = fixture.client_with("no-token").get("/pins")?.expect(401)?;
    ensure!(unknown["error"]["reason"] == "UNAUTHORIZED", "{unknown}");
    Ok(())
}
