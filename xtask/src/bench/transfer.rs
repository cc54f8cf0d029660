//! One embedded node fetches from another on this machine, both durable.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::table::{Figure, Yardstick};
use crate::command::{cargo, run_showing};
use crate::environment::Environment;
use crate::progress::Step;

/// What the example prints about a DAG.
#[derive(Deserialize)]
struct Transfer {
    blocks_per_second: f64,
    mib_per_second: f64,
}

pub fn measure(environment: &Environment, step: &Step) -> Result<Vec<Figure>> {
    let package = ["--package", "pinrail-ipfs-embedded"];
    let mut command = cargo(environment, ["run", "--release", "--locked", "--quiet"]);
    command.args(package).args(["--example", "transfer_bench"]);
    let output = run_showing(command, step)?.success("transfer_bench")?;
    let line = output.lines().rfind(|line| line.starts_with('{')).context("transfer_bench printed no JSON")?;
    figures(&serde_json::from_str(line)?)
}

fn figures(transfers: &BTreeMap<String, Transfer>) -> Result<Vec<Figure>> {
    let find = |name: &str| transfers.get(name).with_context(|| format!("transfer_bench did not measure `{name}`"));
    Ok(vec![
        Figure {
            name: "1 GiB in blocks of 256 KiB".to_owned(),
            value: find("large")?.mib_per_second,
            unit: "MiB/s",
            yardstick: Some(at_least(228.0, "Kubo to Kubo, unsynced, on two idle cores")),
        },
        Figure {
            name: "20,000 blocks of 1 KiB".to_owned(),
            value: find("small")?.blocks_per_second,
            unit: "blocks/s",
            yardstick: Some(at_least(20_000.0, "the goal; Kubo to Kubo does 1,163")),
        },
        Figure {
            name: "a flat folder of 5,000 files".to_owned(),
            value: find("folder")?.blocks_per_second,
            unit: "blocks/s",
            yardstick: Some(at_least(10_000.0, "the goal; Kubo to Kubo does 1,087")),
        },
    ])
}

fn at_least(value: f64, name: &str) -> Yardstick {
    Yardstick { name: name.to_owned(), value, less_is_better: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_example_prints_becomes_figures() {
        let line = r#"{"large":{"seconds":4.0,"blocks_per_second":1024,"mib_per_second":256.0},
            "small":{"seconds":1.0,"blocks_per_second":52000,"mib_per_second":50.8},
            "folder":{"seconds":1.0,"blocks_per_second":9000,"mib_per_second":5.0}}"#;
        let figures = figures(&serde_json::from_str(line).unwrap()).unwrap();
        let holding: Vec<bool> = figures.iter().map(Figure::holds).collect();
        assert_eq!(holding, [true, true, false]);
        assert!(super::figures(&BTreeMap::new()).is_err());
    }
}
