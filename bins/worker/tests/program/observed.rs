//! What an operator sees of it: the log and the metrics.

use pinrail_testbed::metrics::{documented, exposed, number, sample, scrape};
use serde_json::{Value, json};

use crate::home::Home;
use crate::program::{Running, fails, write_file};

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
