//! The parts that read the sources: fmt, tidy, clippy.

use anyhow::{Result, ensure};

use crate::command::{cargo, run, run_showing};
use crate::progress::Step;
use crate::testing::part::{Context, Part, Tally};
use crate::tidy;

pub const FMT: Part = Part { name: "fmt", about: "every file is formatted", run: fmt };

pub const TIDY: Part =
    Part { name: "tidy", about: "the arrows between the crates, and what every file says", run: tidy };

pub const CLIPPY: Part = Part { name: "clippy", about: "no warning in any target of any crate", run: clippy };

fn fmt(context: &Context, _: &Step) -> Result<Tally> {
    run(cargo(&context.environment, ["fmt", "--all", "--", "--check", "--files-with-diff"]))?.success("cargo fmt")?;
    Ok(Tally::one())
}

fn tidy(context: &Context, _: &Step) -> Result<Tally> {
    let mut tally = Tally::default();
    for finding in tidy::inspect(&context.environment)? {
        let breaches = finding.breaches.join("\n");
        let holds = (|| {
            ensure!(breaches.is_empty(), breaches);
            Ok(())
        })();
        tally.check(finding.rule, holds);
    }
    Ok(tally)
}

fn clippy(context: &Context, step: &Step) -> Result<Tally> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run_showing(cargo(&context.environment, arguments), step)?.success("cargo clippy")?;
    Ok(Tally::one())
}
