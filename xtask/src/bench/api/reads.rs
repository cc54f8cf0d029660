//! Reading pins, held against an axum handler that returns the same JSON and asks nobody.

use std::fs;
use std::path::Path;

use anyhow::Result;
use pinrail_testbed::command::program;
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::instance::ports::Ports;
use serde_json::Value;

use super::super::Bench;
use super::super::table::{Figure, at_least};
use super::{LOAD, Service, rate};

const HALF: &str = "half of an axum handler that returns the same JSON";
const LIMIT: &str = "each answer is read from the database and written out as JSON anew";
const LIMIT_REPEATED: &str =
    "the token, its limits and the question whether anybody has committed; after each commit all is read anew";
const PINS: u32 = 20_000;
const REQUESTS: u32 = 20_000;
const AT_ONCE: u32 = 16;
/// A first page of any pins, whatever their status.
const PAGE: &str = "/pins?limit=10&status=queued,pinning,pinned,failed";
/// A page somewhere in the account, another one each time.
const ANY_PAGE: &str = "/pins?limit=10&status=queued,pinning,pinned,failed&before={created}";

/// What is read, whether the same each time, and whether it is a page.
const READS: [(&str, &str, bool, bool); 6] = [
    ("GET /pins/{id}, a queued pin, repeated", "/pins/{queued}", true, false),
    ("GET /pins/{id}, a pinned pin, repeated", "/pins/{pinned}", true, false),
    ("first page and count, repeated", PAGE, true, true),
    ("GET /pins/{id}, queued pins, another each time", "/pins/{queued}", false, false),
    ("GET /pins/{id}, pinned pins, another each time", "/pins/{pinned}", false, false),
    ("pages and counts, another each time", ANY_PAGE, false, true),
];

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let service = Service::start(bench, &[("reader", PINS), ("poster", 0)])?;
    let tokens = service.site.tokens("reader", &["reader"])?;
    let posting = service.site.tokens("poster", &["poster"])?;
    let bare_find = bare(&service, &tokens, |page| page["results"][0].clone())?;
    let bare_page = bare(&service, &tokens, Value::clone)?;
    let mut figures = vec![
        Figure::new("an axum handler that returns a pin", bare_find, "/s"),
        Figure::new("an axum handler that returns a page", bare_page, "/s"),
    ];
    let get = |path: &str, repeat: bool| {
        let more = ["--path", path, "--repeat"];
        rate(&service.load("get", &tokens, REQUESTS, AT_ONCE, if repeat { &more } else { &more[..2] })?)
    };
    let held = |name: String, measured: f64, is_page: bool, repeat: bool| {
        let bare = if is_page { bare_page } else { bare_find };
        let limit = if repeat { LIMIT_REPEATED } else { LIMIT };
        Figure::new(name, measured, "/s").against(at_least(bare / 2.0, HALF)).limited_by(limit)
    };
    for (name, path, repeat, is_page) in READS {
        figures.push(held(format!("{name}, 16 at once"), get(path, repeat)?, is_page, repeat));
    }
    let ((find, page), settled) = service.while_settling(|| Ok((get("/pins/{pinned}", true)?, get(PAGE, true)?)))?;
    figures.extend([
        held("GET /pins/{id} repeated, beside settling".to_owned(), find, false, true),
        held("first page repeated, beside settling".to_owned(), page, true, true),
        Figure::new("roots settled meanwhile", settled, "/s")
            .against(at_least(100.0, "half of the account's are queued")),
    ]);
    let (find, page) = service.while_posting(&posting, || Ok((get("/pins/{pinned}", true)?, get(PAGE, true)?)))?;
    figures.extend([
        Figure::new("GET /pins/{id} repeated, beside POSTs one by one", find, "/s"),
        Figure::new("first page repeated, beside POSTs one by one", page, "/s"),
    ]);
    service.stop()?;
    Ok(figures)
}

/// The rate of a handler with no database that answers what the service answers to a part of the first page.
fn bare(service: &Service, tokens: &Path, part: impl FnOnce(&Value) -> Value) -> Result<f64> {
    let token = fs::read_to_string(tokens)?;
    let instance = &service.site.instance;
    let page = Client::new(&instance.endpoint(), token.trim()).get(PAGE)?.expect(200)?;
    let file = instance.data().join("bare.json");
    fs::write(&file, part(&page).to_string())?;
    let listening = Ports::free()?.api;
    let mut command = program(service.site.bench.programs.example(LOAD)?, instance.data());
    command.args(["bare", "--listen", &format!("127.0.0.1:{listening}"), "--body"]).arg(&file);
    let running = service.start_beside("load bare", command, "listening")?;
    let measured = service.load_server(listening, "get", tokens, [REQUESTS, AT_ONCE], &["--path", "/pins"])?;
    running.stop()?;
    rate(&measured)
}
