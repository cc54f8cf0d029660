//! The storage on each database, held against bare inserts and against its own small accounts.

use anyhow::Result;
use serde_json::Value;

use super::table::Figure;
use super::{Bench, document};

pub const TOOL: &str = "storage_bench";

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    run(bench, "measure")
}

/// Ten million pins in one account, beside ten thousand accounts.
pub fn measure_big(bench: &Bench) -> Result<Vec<Figure>> {
    run(bench, "big")
}

/// The tool gives its figures as they are shown: what they are held against, it measures too.
fn run(bench: &Bench, what: &str) -> Result<Vec<Figure>> {
    let mut arguments = vec![what];
    if let Some(server) = bench.server {
        arguments.extend(["--server", server.url()]);
    }
    figures(&document(&bench.example(TOOL, &arguments)?)?)
}

fn figures(printed: &Value) -> Result<Vec<Figure>> {
    Ok(serde_json::from_value(printed["figures"].clone())?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::figures;

    #[test]
    fn what_the_tool_prints_is_read() {
        let yardstick = json!({ "name": "twice", "value": 3.0, "less_is_better": true });
        let printed = json!({ "figures": [
            { "name": "find one", "value": 4.0, "unit": "ms", "yardstick": yardstick, "limit": "the disk" },
            { "name": "bare inserts", "value": 6_000.0, "unit": "/s" },
        ] });
        let figures = figures(&printed).unwrap();
        assert_eq!((figures[0].holds(), figures[0].limit.as_deref()), (false, Some("the disk")));
        assert_eq!((figures[1].holds(), figures[1].yardstick.as_ref()), (true, None));
        assert!(super::figures(&json!({})).is_err());
    }
}
