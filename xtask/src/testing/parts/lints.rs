//! The parts that read the sources: fmt, tidy, clippy.

use anyhow::{Result, ensure};
use pinrail_testbed::command::{cargo, run};

use crate::progress::Step;
use crate::testing::part::{Context, Part, Run, Tally};
use crate::tidy;

pub const FMT: Part = Part { name: "fmt", about: "every file is formatted", run: Run::Own(fmt) };

pub const TIDY: Part =
    Part { name: "tidy", about: "the arrows between the crates, and what every file says", run: Run::Own(tidy) };

pub const CLIPPY: Part = Part { name: "clippy", about: "no warning in any target of any crate", run: Run::Own(clippy) };

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
    step.run(cargo(&context.environment, arguments))?.success("cargo clippy")?;
    Ok(Tally::one())
}
