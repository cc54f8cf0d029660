//! A large account beside a small one: what is read may not take longer for there being more of it.

use std::path::Path;

use anyhow::Result;
use pinrail_testbed::resident;

use super::super::Bench;
use super::super::number;
use super::super::table::{Figure, at_most};
use super::Service;

const SMALL: u32 = 1_000;
const LARGE: u32 = 1_000_000;
const SHORT: u32 = 10_000;
const LONG: u32 = 100_000;
/// A read of the large account may take so much longer than twice the small one's, in milliseconds: a few with sixteen
/// under way at once.
const GRACE: f64 = 1.0;
const GRACE_AT_ONCE: f64 = 3.0;
const AT_ONCE: u32 = 16;

/// What is read, each time anew, and how that is called.
const READS: [(&str, &str); 5] = [
    ("GET /pins/{id}, queued", "/pins/{queued}?turn={turn}"),
    ("GET /pins/{id}, pinned", "/pins/{pinned}?turn={turn}"),
    ("first page and count, queued", "/pins?status=queued&turn={turn}"),
    ("first page and count, pinned", "/pins?status=pinned&turn={turn}"),
    ("page before any and count, all", "/pins?status=queued,pinning,pinned,failed&before={created}&turn={turn}"),
];

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let service = Service::start(bench, &[("small", SMALL), ("large", LARGE), ("short", SHORT), ("long", LONG)])?;
    let tokens = |name: &str| service.site.tokens(name, &[name]);
    let (small, large) = (tokens("small")?, tokens("large")?);
    let mut figures = Vec::new();
    for (at_once, grace, how) in [(1, GRACE, "alone"), (AT_ONCE, GRACE_AT_ONCE, "16 at once")] {
        for (name, path) in READS {
            let of_small = median(&service, &small, at_once, path)?;
            let of_large = median(&service, &large, at_once, path)?;
            let bound = at_most(2.0 * of_small + grace, &format!("twice the time among a thousand, and {grace} ms"));
            figures.push(Figure::new(format!("{name}, of a million, {how}"), of_large, "ms").against(bound));
        }
    }
    let page_of_short = page_of_walk(&service, &tokens("short")?)?;
    let page_of_long = page_of_walk(&service, &tokens("long")?)?;
    let linear = at_most(1.5 * page_of_short, "half as much again as a page of a walk through 10,000");
    figures.extend([
        Figure::new("a page of a walk by ten through 10,000", page_of_short, "ms"),
        Figure::new("a page of a walk by ten through 100,000", page_of_long, "ms").against(linear),
    ]);
    service.stop()?;
    Ok(figures)
}

/// The most memory of the service while an account of 100,000 pins is walked through and read by many at once.
pub fn memory(bench: &Bench) -> Result<Figure> {
    let service = Service::start(bench, &[("long", LONG)])?;
    let tokens = service.site.tokens("long", &["long"])?;
    page_of_walk(&service, &tokens)?;
    for (_, path) in READS {
        median(&service, &tokens, AT_ONCE, path)?;
    }
    let peak = resident::peak_mebibytes(&service.api)?;
    service.stop()?;
    Ok(Figure::new("pinrail-api at its most, 100,000 pins read", peak, "MiB").against(at_most(50.0, "the goal")))
}

/// The median time of one read, in milliseconds.
fn median(service: &Service, tokens: &Path, connections: u32, path: &str) -> Result<f64> {
    number(&service.load("get", tokens, 500 * connections, connections, &["--path", path])?, "/p50_ms")
}

/// The mean time of a page, in milliseconds. The walk fails unless every pin comes exactly once and each count is right.
fn page_of_walk(service: &Service, tokens: &Path) -> Result<f64> {
    let walk = service.load("walk", tokens, 1, 1, &[])?;
    Ok(number(&walk, "/seconds")? * 1e3 / number(&walk, "/requests")?)
}
