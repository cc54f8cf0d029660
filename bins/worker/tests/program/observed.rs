//! What an operator sees of it: the log and the metrics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::home::Home;
use crate::program::{LONG, Running, fails, write_file};

const OPERATING: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md"));

/// Kind and labels of each metric.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// What the table under a heading of the document lists.
fn documented(heading: &str) -> Metrics {
    let (_, section) = OPERATING.split_once(&format!("\n### {heading}\n")).expect("the heading is there");
    let table = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect::<Vec<_>>();
        let [_, name, kind, labels, meaning, _] = cells[..] else { panic!("{line} has not four columns") };
        assert!(meaning.len() > 10, "{name} is not explained");
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(str::to_owned);
        (name.to_owned(), (kind.to_owned(), labels.collect()))
    };
    table.skip(2).map(row).collect()
}

/// What a scrape shows.
fn exposed(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            name.clone_into(&mut last);
            metrics.insert(last.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = metrics.get_mut(&last).filter(|_| !line.starts_with('#')) {
            let parts = line.split("=\"").collect::<Vec<_>>();
            let names = parts[..parts.len() - 1].iter().filter_map(|before| before.rsplit(['{', ',']).next());
            labels.extend(names.filter(|name| *name != "le").map(str::to_owned));
        }
    }
    metrics
}

/// The text that a program exposes where it said that it does.
fn scrape(up: &Value) -> String {
    let config = ureq::Agent::config_builder().timeout_global(Some(LONG)).proxy(None).build();
    let address = up["metrics"].as_str().expect("it says where");
    let mut answer = ureq::Agent::from(config).get(format!("http://{address}/metrics")).call().expect("it answers");
    let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.body_mut().read_to_string().expect("text")
}

/// The value of the sample that a line of the text begins with.
fn sample<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.trim()
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_root_is_in_the_log_and_counted() {
    let mut home = Home::new().await;
    let file = write_file(home.path("file"), 5_000_000, 1);
    let (_provider, cid, addresses) = Running::provide(&home.data(), &file);
    let filter = ["--metrics", "127.0.0.1:0", "--log", "info,pinrail_worker=debug"];
    let (worker, up) = Running::serve_with(&home.data(), &filter);
    assert_eq!(exposed(&scrape(&up)), documented("Metrics of pinrail-worker"));
    let request = home.post(&cid, &addresses).await;
    home.until_pinned(&request).await;
    let (begun, pinned) = (worker.wait_for("begun"), worker.wait_for("pinned"));
    for field in ["root", "lease", "epoch"] {
        assert!(begun[field] != Value::Null && begun[field] == pinned[field], "{field} of {begun} and {pinned}");
    }
    assert_eq!((&pinned["root"], &pinned["blocks"]), (&json!(cid), &json!(6)));
    let text = scrape(&up);
    assert_eq!(sample(&text, r#"pinrail_worker_roots_settled_total{outcome="pinned",reason=""}"#), "1");
    assert_eq!(sample(&text, "pinrail_worker_pinned_blocks_total"), "6");
    assert_eq!(sample(&text, "pinrail_worker_pin_duration_seconds_count"), "1");
    assert!(number(sample(&text, "pinrail_worker_pinned_bytes_total")) > 5_000_000.0);
    assert!(number(sample(&text, "pinrail_worker_store_used_bytes")) > 5_000_000.0);
    assert!(number(sample(&text, "pinrail_worker_store_free_bytes")) > 0.0);
    assert_eq!(sample(&text, "pinrail_worker_peers"), "1");
    assert_eq!(sample(&text, r#"pinrail_worker_dials_total{outcome="connected"}"#), "1");
    assert_eq!(sample(&text, "pinrail_worker_received_blocks_total"), "6");
    assert!(number(sample(&text, "pinrail_worker_received_bytes_total")) > 5_000_000.0);
    assert_eq!(sample(&text, "pinrail_worker_slots"), "64");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_metrics_in_use_is_said_in_one_line() {
    let home = Home::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let error = fails(&home.data(), &["serve", "--health", "127.0.0.1:0", "--metrics", &address]);
    assert!(error.starts_with(&format!("error: cannot listen on {address} for /metrics: ")), "{error}");
}
