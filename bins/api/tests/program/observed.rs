//! What an operator sees of it: the log, the metrics, and what docs/monitoring makes of them.

use std::collections::BTreeSet;

use pinrail_testbed::metrics::{documented, exposed, number, sample, scrape};
use serde_json::{Value, json};

use crate::serving::{CID, Serving, agent, prepared};

const DASHBOARD: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/monitoring/pinrail-dashboard.json"));
const ALERTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/monitoring/pinrail-alerts.yml"));

#[test]
fn the_document_lists_what_is_exposed_and_the_counts_are_right() {
    let (api, token) = prepared();
    let (serving, up) = Serving::start_with(&api, &["--metrics", "127.0.0.1:0"]);
    assert_eq!(exposed(&scrape(&up)), documented("Metrics of pinrail-api"));
    assert_eq!(serving.post(&json!({ "cid": CID }), &token).0, 202);
    assert_eq!(serving.get("/pins", "not-a-token").0, 401);
    assert_eq!(serving.get("/pins/1", "not-a-token").0, 401);
    let text = scrape(&up);
    let answered = |labels: &str| sample(&text, &format!("pinrail_api_request_duration_seconds_count{{{labels}}}"));
    assert_eq!(answered(r#"method="POST",route="/pins",status="202""#), "1");
    assert_eq!(answered(r#"method="GET",route="/pins/{requestid}",status="401""#), "1");
    assert_eq!(sample(&text, r#"pinrail_api_refusals_total{reason="UNAUTHORIZED"}"#), "2");
    assert_eq!(sample(&text, "pinrail_api_requests_in_flight"), "0");
    assert_eq!(sample(&text, "pinrail_api_places_waiting"), "0");
    assert_eq!(sample(&text, "pinrail_api_database_up"), "1");
    assert!(number(sample(&text, "pinrail_api_database_bytes")) > 0.0);
    assert!(number(sample(&text, "pinrail_api_lists_limit")) > 0.0);
    assert!(number(sample(&text, r#"pinrail_api_request_database_seconds_sum{method="POST",route="/pins"}"#)) > 0.0);
    assert_eq!(serving.get("/metrics", "").0, 404, "clients are not told");
}

#[test]
fn a_request_is_logged_with_its_client_under_the_id_in_its_answer() {
    let (api, _) = prepared();
    let (serving, _) = Serving::start_with(&api, &["--trusted-proxies", "127.0.0.1"]);
    let request = agent().get(format!("{}/health/live", serving.endpoint)).header("x-forwarded-for", "198.51.100.7");
    let answer = request.call().expect("it answers");
    let line = serving.log.iter().find(|line| line["fields"]["message"] == "answered").expect("it is logged");
    assert_eq!(line["span"]["id"], answer.headers()["x-request-id"].to_str().expect("text"));
    assert_eq!((&line["span"]["client"], &line["span"]["route"]), (&json!("198.51.100.7"), &json!("/health/live")));
}

#[test]
fn made_up_requests_make_no_series() {
    let (api, _) = prepared();
    let (serving, up) = Serving::start_with(&api, &["--metrics", "127.0.0.1:0"]);
    let ask = |number: usize| {
        let request = agent().get(format!("{}/made-up/{number}", serving.endpoint));
        assert_eq!(request.call().expect("it answers").status(), 404);
    };
    ask(0);
    let few = scrape(&up).lines().count();
    (1..50).for_each(ask);
    assert_eq!(scrape(&up).lines().count(), few);
}

#[test]
fn no_token_is_logged_at_any_level() {
    let (api, token) = prepared();
    let (mut serving, _) = Serving::start_with(&api, &["--log", "trace"]);
    let pin = json!({ "cid": CID, "name": "a-name", "meta": { "a-key": "a-value" } });
    assert_eq!(serving.post(&pin, &token).0, 202);
    assert_eq!(serving.get("/pins?name=a-name", &token).0, 200);
    assert_eq!(serving.get("/pins", "not-a-token").0, 401);
    assert!(serving.terminate().success());
    let lines = serving.log.iter().map(|line| line.to_string()).collect::<Vec<_>>();
    assert!(lines.iter().any(|line| line.contains("\"DEBUG\"")), "{lines:?}");
    for line in lines {
        assert!(!line.contains(&token) && !line.contains("not-a-token"), "{line}");
    }
}

#[test]
fn a_port_of_metrics_in_use_is_said_in_one_line() {
    let (api, _) = prepared();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let error = api.fails(&["serve", "--listen", "127.0.0.1:0", "--metrics", &address]);
    assert!(error.starts_with(&format!("error: cannot listen on {address} for /metrics: ")), "{error}");
}

/// The names of metrics in an expression of Prometheus.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let without_texts = expression.split('"').step_by(2).collect::<String>();
    let mut rest = without_texts.as_str();
    while let Some(first) = rest.chars().next() {
        let is_word = |other: char| other.is_alphanumeric() || matches!(other, '_' | ':' | '.' | '$');
        let length = rest.find(|other| !is_word(other)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(length.max(first.len_utf8()));
        let ends_at = |end: char| behind.split_once(end).map_or("", |(_, behind)| behind);
        let is_function = ["(", "by ", "without "].iter().any(|begin| behind.trim_start().starts_with(begin));
        rest = match word {
            "{" => ends_at('}'),
            "[" => ends_at(']'),
            "by" | "without" | "on" | "ignoring" => ends_at(')'),
            "and" | "or" | "unless" | "offset" | "bool" | "group_left" | "group_right" => behind,
            _ if first.is_ascii_digit() || !is_word(first) || is_function => behind,
            name => {
                names.insert(name.to_owned());
                behind
            }
        };
    }
    names
}

/// The samples that Prometheus has of a metric.
fn samples((name, (kind, _)): (String, (String, BTreeSet<String>))) -> Vec<String> {
    match kind.as_str() {
        "counter" => vec![format!("{name}_total")],
        "histogram" => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
        _ => vec![name],
    }
}

/// Everything that stands under a key of this name.
fn find_all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|value| find_all(value, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| find_all(value, key, found)),
        _ => {}
    }
}

#[test]
fn dashboard_and_alerts_name_only_metrics_that_exist() {
    let metrics = ["Metrics of pinrail-api", "Metrics of pinrail-worker"].map(documented).into_iter().flatten();
    let known = metrics.flat_map(samples).chain(["up".to_owned()]).collect::<BTreeSet<_>>();
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let alerts: Value = serde_yaml_ng::from_str(ALERTS).expect("YAML");
    for (file, least) in [(dashboard, 15), (alerts, 8)] {
        let mut expressions = Vec::new();
        find_all(&file, "expr", &mut expressions);
        assert!(expressions.len() >= least, "{expressions:?}");
        for expression in expressions {
            let named = metrics_in(expression);
            assert!(!named.is_empty(), "{expression}");
            let unknown = named.difference(&known).collect::<Vec<_>>();
            assert!(unknown.is_empty(), "{unknown:?} in {expression}");
        }
    }
}

#[test]
fn names_are_found_in_expressions() {
    for (expression, wanted) in [
        ("up == 0", &["up"] as &[_]),
        ("sum by (le, route) (rate(a_bucket{x=~\"b_c}\", y!=\"z\"}[$__rate_interval]))", &["a_bucket"]),
        ("a_total offset 5m / on (job) group_left c:d > 1e3 and max(e) unless f", &["a_total", "c:d", "e", "f"]),
        ("histogram_quantile(0.99, sum(rate(a_bucket[5m])) by (le)) > 0.5", &["a_bucket"]),
    ] {
        assert_eq!(metrics_in(expression), wanted.iter().map(|name| (*name).to_owned()).collect(), "{expression}");
    }
}
