//! The metrics of a program: scraped, and compared with the table that documents them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::environment::root;

/// The kind and the labels of each metric.
pub type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// Returns the metrics that the table under a heading of docs/operating.md lists.
pub fn documented(heading: &str) -> Metrics {
    let document = fs::read_to_string(root().join("docs/operating.md")).expect("the document exists");
    let (_, section) = document.split_once(&format!("\n### {heading}\n")).expect("the heading exists");
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

/// Returns the metrics that a scrape shows.
pub fn exposed(text: &str) -> Metrics {
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

/// Scrapes a program at the address that its log line `up` names.
pub fn scrape(up: &Value) -> String {
    let agent: Agent = Agent::config_builder().timeout_global(Some(Duration::from_mins(1))).proxy(None).build().into();
    let address = up["metrics"].as_str().expect("the log line has an address");
    let mut answer = agent.get(format!("http://{address}/metrics")).call().expect("the program answers");
    let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.body_mut().read_to_string().expect("text")
}

/// Returns the value of the sample that a line of the text begins with.
pub fn sample<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.trim()
}

/// Reads the value of a sample as a number.
pub fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}
