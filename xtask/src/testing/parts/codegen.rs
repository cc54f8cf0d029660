//! The generated files are what would be generated now.

use anyhow::Result;

use crate::codegen;
use crate::progress::Step;
use crate::testing::part::{Context, Part, Run, Tally};

pub const CODEGEN: Part = Part { name: "codegen", about: "schema.rs and openapi.json are fresh", run: Run::Own(check) };

fn check(context: &Context, step: &Step) -> Result<Tally> {
    let binaries = context.binaries(step)?;
    let mut tally = Tally::default();
    for file in codegen::generate(&context.environment, &binaries, step)? {
        tally.check(&file.name(), file.check());
    }
    Ok(tally)
}
