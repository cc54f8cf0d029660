//! Adding pins, held against what is promised; bare inserts in the same minutes show what the machine is capable of.

use std::path::Path;

use anyhow::Result;

use super::super::storage::TOOL;
use super::super::table::{Figure, at_least};
use super::super::{Bench, document};
use super::{Service, rate};

/// How many accounts share the load in the figures with many.
const ACCOUNTS: usize = 100;
const REQUESTS: u32 = 20_000;
const AT_ONCE: u32 = 16;
/// Enough that eight lanes have twenty each: what PostgreSQL commits together.
const MANY_AT_ONCE: u32 = 160;
const LIMIT: &str = "the CPU, which the service shares with the program that loads it: HTTP, a token, and five rows with \
    nine indices for each";

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let names: Vec<String> = (0..=ACCOUNTS).map(|number| format!("bench-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let empty: Vec<(&str, u32)> = names.iter().map(|name| (*name, 0)).collect();
    let service = Service::start(bench, &empty)?;
    let (one, many) = (service.site.tokens("one", &names[..1])?, service.site.tokens("many", &names[1..])?);
    let post = |tokens: &Path, at_once| rate(&service.load("post", tokens, REQUESTS, at_once, &[])?);

    let bare_one = bare_inserts(bench, REQUESTS, AT_ONCE, 1)?;
    let bare_many = bare_inserts(bench, REQUESTS, AT_ONCE, ACCOUNTS)?;
    let post_one = post(&one, AT_ONCE)?;
    let post_many = post(&many, AT_ONCE)?;
    let (beside, settled) = service.while_settling(|| post(&one, AT_ONCE))?;
    // What else runs comes and goes: what was measured in between is held against the mean.
    let bare_one = f64::midpoint(bare_one, bare_inserts(bench, REQUESTS, AT_ONCE, 1)?);
    let bare_many = f64::midpoint(bare_many, bare_inserts(bench, REQUESTS, AT_ONCE, ACCOUNTS)?);
    let promised = if bench.server.is_some() { 2_000.0 } else { 5_000.0 };
    let mut figures = vec![
        Figure::new("bare inserts, 16 at once, one account", bare_one, "/s"),
        Figure::new("bare inserts, 16 at once, a hundred accounts", bare_many, "/s"),
        posted("16 at once, one account", post_one, promised),
        posted("16 at once, a hundred accounts", post_many, promised),
        posted("16 at once, beside settling", beside, promised),
        Figure::new("roots settled meanwhile", settled, "/s").against(at_least(500.0, "what a worker settles beside")),
    ];
    if bench.server.is_some() {
        let bare = bare_inserts(bench, REQUESTS, MANY_AT_ONCE, ACCOUNTS)?;
        let post_batched = post(&many, MANY_AT_ONCE)?;
        figures.extend([
            Figure::new("bare inserts, 160 at once, a hundred accounts", bare, "/s"),
            posted("160 at once, a hundred accounts", post_batched, 4_000.0),
        ]);
    }
    service.stop()?;
    Ok(figures)
}

fn posted(how: &str, rate: f64, promised: f64) -> Figure {
    let promised = at_least(promised, "what is promised");
    Figure::new(format!("POST /pins, {how}"), rate, "/s").against(promised).limited_by(LIMIT)
}

/// Bare inserts a second with the same grouping of commits.
fn bare_inserts(bench: &Bench, requests: u32, clients: u32, accounts: usize) -> Result<f64> {
    let (requests, clients, accounts) = (requests.to_string(), clients.to_string(), accounts.to_string());
    let mut arguments = vec!["bare", "--requests", &requests, "--clients", &clients, "--accounts", &accounts];
    if let Some(server) = bench.server {
        arguments.extend(["--server", server.url()]);
    }
    rate(&document(&bench.example(TOOL, &arguments)?)?)
}
