//! One embedded node fetches from another on this machine, both durable.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Bench;
use super::table::{Figure, at_least};

/// What the example prints.
#[derive(Deserialize)]
struct Measured {
    machine: Machine,
    #[serde(flatten)]
    shapes: BTreeMap<String, Transfer>,
}

/// What this machine could do at most, measured in the same run.
#[derive(Deserialize)]
struct Machine {
    sha256_mib_per_second: f64,
    synced_mib_per_second: f64,
}

/// What the example prints about a DAG.
#[derive(Deserialize)]
struct Transfer {
    blocks_per_second: f64,
    mib_per_second: f64,
}

pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let output = bench.example("transfer_bench", &[])?;
    let line = output.lines().rfind(|line| line.starts_with('{')).context("transfer_bench printed no JSON")?;
    figures(&serde_json::from_str(line)?)
}

fn figures(measured: &Measured) -> Result<Vec<Figure>> {
    let find =
        |name: &str| measured.shapes.get(name).with_context(|| format!("transfer_bench did not measure `{name}`"));
    let machine = &measured.machine;
    let goal = (machine.sha256_mib_per_second / 5.0).min(machine.synced_mib_per_second * 0.6);
    let bound = at_least(goal, "a fifth of one core's SHA-256, or 60 % of batched fdatasync if lower");
    Ok(vec![
        Figure::new("SHA-256 on one core", machine.sha256_mib_per_second, "MiB/s"),
        Figure::new("batches of 16 MiB, each synced", machine.synced_mib_per_second, "MiB/s"),
        Figure::new("1 GiB in blocks of 256 KiB", find("large")?.mib_per_second, "MiB/s").against(bound),
        Figure::new("20,000 blocks of 1 KiB", find("small")?.blocks_per_second, "blocks/s")
            .against(at_least(20_000.0, "the goal; Kubo to Kubo does 1,163")),
        Figure::new("a flat folder of 5,000 files", find("folder")?.blocks_per_second, "blocks/s")
            .against(at_least(10_000.0, "the goal; Kubo to Kubo does 1,087")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_example_prints_becomes_figures() {
        let line = r#"{"machine":{"sha256_mib_per_second":1300.0,"synced_mib_per_second":400.0},
            "large":{"seconds":4.0,"blocks_per_second":1024,"mib_per_second":256.0},
            "small":{"seconds":1.0,"blocks_per_second":52000,"mib_per_second":50.8},
            "folder":{"seconds":1.0,"blocks_per_second":9000,"mib_per_second":5.0}}"#;
        let figures = figures(&serde_json::from_str(line).unwrap()).unwrap();
        let holding: Vec<bool> = figures.iter().map(Figure::holds).collect();
        assert_eq!(holding, [true, true, true, true, false]);
        assert!(serde_json::from_str::<Measured>("{}").is_err());
    }
}
