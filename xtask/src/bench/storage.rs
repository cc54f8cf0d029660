//! The storage on SQLite, held against bare inserts and against its own small accounts.

use anyhow::{Context, Result};
use serde_json::Value;

use super::table::{Figure, at_least, at_most};
use super::{example, number};
use crate::environment::Environment;
use crate::progress::Step;

/// A page of a large account may take this much longer than twice a small one's, in microseconds.
const GRACE: f64 = 2_000.0;

pub fn measure(environment: &Environment, step: &Step) -> Result<Vec<Figure>> {
    let output = example(environment, step, "pinrail-storage-diesel", "storage_bench", &["--pins", "1000000"])?;
    let document = output.find('{').map(|start| &output[start..]).context("storage_bench printed no JSON")?;
    figures(&serde_json::from_str(document)?)
}

fn figures(measured: &Value) -> Result<Vec<Figure>> {
    let bare = number(measured, "/bare_inserts_per_second")?;
    let add = |name: &str, key: &str| -> Result<Figure> {
        let rate = number(measured, &format!("/adds_per_second/{key}"))?;
        Ok(Figure::new(name, rate, "/s")
            .against(at_least(bare / 2.0, "half of bare inserts with the same group commit")))
    };
    let mut figures = vec![
        Figure::new("bare inserts, 16 at once", bare, "/s"),
        add("pin requests added, one account", "one_account")?,
        add("pin requests added, a hundred accounts", "hundred_accounts")?,
        add("pin requests added beside 500 settled a second", "while_settling")?,
    ];
    for (name, key) in [("find one of a million", "find_micros"), ("first page of a million", "first_page_micros")] {
        let small = number(measured, &format!("/reads/0/{key}"))?;
        let large = number(measured, &format!("/reads/1/{key}"))?;
        let bound = at_most(2.0 * small + GRACE, "twice the time in an account of a thousand, and 2 ms");
        figures.push(Figure::new(name, large, "us").against(bound));
    }
    let small = number(measured, "/reads/0/walk_by_ten/micros_per_page")?;
    let large = number(measured, "/reads/1/walk_by_ten/micros_per_page")?;
    let bound = at_most(2.0 * small + GRACE, "twice the time in an account of a thousand, and 2 ms");
    figures.push(Figure::new("a page of a walk through 100,000", large, "us").against(bound));
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::figures;

    #[test]
    fn what_the_example_prints_becomes_figures() {
        let reads = |micros: u64| json!({ "find_micros": micros, "first_page_micros": micros, "walk_by_ten": { "micros_per_page": micros } });
        let adds = json!({ "one_account": 4_000, "hundred_accounts": 2_000, "while_settling": 3_000 });
        let measured = json!({
            "bare_inserts_per_second": 6_000,
            "adds_per_second": adds,
            "reads": [reads(100), reads(2_500)],
        });
        let holding: Vec<bool> = figures(&measured).unwrap().iter().map(super::Figure::holds).collect();
        assert_eq!(holding, [true, true, false, true, false, false, false]);
        assert!(figures(&json!({})).is_err());
    }
}
