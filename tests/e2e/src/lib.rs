//! The harness of the tests that drive the built programs: turns, databases, a Pinrail for each test.
//!
//! `cargo test -p pinrail-e2e` runs them all, `cargo test -p pinrail-e2e kubo` those of one part. The programs are built
//! where they are missing or old; `PINRAIL_PROGRAMS` names a folder with others. Attacks run on SQLite once, unless
//! `PINRAIL_E2E_DATABASE=postgres` and `PINRAIL_E2E_MINUTES` say otherwise.

mod fixture;
mod outcomes;

use std::env;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use pinrail_chaos::Kind;
use pinrail_testbed::postgres::{Server, ServerOptions};
use pinrail_testbed::signals;
use pinrail_testbed::stopwatch::Stopwatch;

pub use fixture::{ACCOUNT, Fixture};
pub use outcomes::Outcomes;

/// A test's turn: no other test has programs running meanwhile.
///
/// Deadlines are those of a machine that does one thing at a time, and attacks measure memory.
pub type Turn = MutexGuard<'static, ()>;

/// Waits for a turn; an error once somebody asked this process to stop.
pub fn turn() -> Result<Turn> {
    static TURN: Mutex<()> = Mutex::new(());
    static LISTENING: OnceLock<Result<(), String>> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let listening = LISTENING.get_or_init(|| signals::listen().map_err(|error| format!("{error:#}")));
    listening.as_ref().map_err(|error| anyhow!("{error}"))?;
    signals::check()?;
    Ok(turn)
}

/// Asks until it holds; an error if it does not within `bound`.
pub fn eventually(bound: Duration, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let watch = Stopwatch::start();
    while !holds()? {
        signals::check()?;
        if watch.passed(bound) {
            bail!("no {what} within {} s", bound.as_secs());
        }
        thread::sleep(Duration::from_millis(250));
    }
    Ok(())
}

/// Returns how a PostgreSQL server is made that waits for its disk, as an operator's does.
pub fn durable() -> ServerOptions {
    ServerOptions { durable: true, ..ServerOptions::default() }
}

/// Returns the server that all tests of this process share. It ends with the process.
pub fn server() -> Result<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let start = || Server::start(&durable()).map_err(|missing| missing.to_string());
    SERVER.get_or_init(start).as_ref().map_err(|error| anyhow!("{error}"))
}

/// Returns the URL of a new database, or none for a file in the data folder.
pub fn fresh_database(kind: Kind) -> Result<Option<String>> {
    Ok(match kind {
        Kind::Sqlite => None,
        Kind::Postgres => Some(server()?.url(&server()?.create()?)),
    })
}

/// Returns the database that attacks run on.
pub fn database() -> Result<Kind> {
    match variable("PINRAIL_E2E_DATABASE").as_deref() {
        None | Some("sqlite") => Ok(Kind::Sqlite),
        Some("postgres") => Ok(Kind::Postgres),
        Some(other) => bail!("PINRAIL_E2E_DATABASE is {other}, wanted sqlite or postgres"),
    }
}

/// Returns for how long each attack is repeated.
pub fn minutes() -> Result<Duration> {
    let Some(text) = variable("PINRAIL_E2E_MINUTES") else { return Ok(Duration::ZERO) };
    let minutes = text.parse().with_context(|| format!("PINRAIL_E2E_MINUTES is {text}, wanted a number"))?;
    Ok(Duration::from_mins(minutes))
}

#[expect(clippy::disallowed_methods, reason = "cargo hands settings to tests by the environment alone")]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Says that a test cannot run here. `cargo xtask test` counts it as skipped, and CI refuses that.
pub fn skip(reason: &str) {
    let test = thread::current();
    // Past the output that is captured of a test that passes.
    let _ = writeln!(std::io::stderr(), "\nskipped: {}: {reason}", test.name().unwrap_or("a test"));
}
