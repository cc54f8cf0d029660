//! The block store alone: blocks written, read and deleted, held against plain writes of the same bytes.

use anyhow::Result;
use serde_json::Value;

use super::table::{Figure, at_least};
use super::{Bench, document, number};

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let output = bench.example("store_bench", &[&folder.path().to_string_lossy()])?;
    figures(&document(&output)?)
}

fn figures(measured: &Value) -> Result<Vec<Figure>> {
    let plain = number(measured, "/large/plain")?;
    let mebibytes = |blocks: f64| blocks / 4.0;
    let mut figures = vec![
        Figure::new("plain writes of 16 MiB, each synced", mebibytes(plain), "MiB/s"),
        Figure::new("blocks of 256 KiB written", mebibytes(number(measured, "/large/put")?), "MiB/s")
            .against(at_least(mebibytes(plain) * 0.6, "60 % of plain writes"))
            .limited_by("the index is committed after each batch, which syncs again"),
        Figure::new(
            "plain writes of 4,096 blocks of 1 KiB, each synced",
            number(measured, "/small/plain")?,
            "blocks/s",
        ),
    ];
    let goal = "what a fetch of small blocks should reach";
    for (what, key) in [("written", "put"), ("read", "read"), ("deleted, their room given back", "delete")] {
        figures.push(
            Figure::new(format!("blocks of 1 KiB {what}"), number(measured, &format!("/small/{key}"))?, "blocks/s")
                .against(at_least(20_000.0, goal))
                .limited_by(
                    "the index: a row for the block, one for its node and its links, each in order of its hash",
                ),
        );
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::figures;

    #[test]
    fn what_the_example_prints_becomes_figures() {
        let large = json!({ "plain": 1_600.0, "put": 1_000.0, "read": 4_000.0, "delete": 9_000.0 });
        let small = json!({ "plain": 300_000.0, "put": 52_000.0, "read": 90_000.0, "delete": 19_000.0 });
        let holding: Vec<bool> =
            figures(&json!({ "large": large, "small": small })).unwrap().iter().map(super::Figure::holds).collect();
        assert_eq!(holding, [true, true, true, true, true, false]);
        assert!(figures(&json!({})).is_err());
    }
}
