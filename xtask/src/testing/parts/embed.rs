//! Somebody else's service that depends on pinrail-domain alone, resolved with no lock and no patch.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::command::{cargo, run_showing};
use crate::environment::root;
use crate::progress::Step;
use crate::testing::cargo_output;
use crate::testing::part::{Context, Part, Tally};

pub const EMBED: Part = Part {
    name: "embed",
    about: "a fresh workspace of its own verifies a token with pinrail-domain alone",
    run: embed,
};

/// The service's only test; it is kept as a file so that it reads as what an embedder writes.
const TEST: &str = include_str!("../../../tools/embed/verify.rs");

fn embed(context: &Context, step: &Step) -> Result<Tally> {
    let folder = tempfile::tempdir()?;
    write_service(folder.path())?;
    let mut command = cargo(&context.environment, ["test", "--test", "verify"]);
    command
        .current_dir(folder.path())
        .arg("--target-dir")
        .arg(folder.path().join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let finished = run_showing(command, step)?;
    Ok(cargo_output::tally(&finished.output, finished.status.success()))
}

fn write_service(folder: &Path) -> Result<()> {
    // Quoted as JSON quotes, which TOML reads.
    let domain = Value::from(root().join("crates/domain").to_string_lossy());
    let manifest = format!(
        "[package]\nname = \"embedder\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\npinrail-domain.path = {domain}\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::create_dir_all(folder.join("src"))?;
    fs::create_dir_all(folder.join("tests"))?;
    fs::write(folder.join("src/lib.rs"), "//! A service that embeds Pinrail's tokens.\n")?;
    fs::write(folder.join("tests/verify.rs"), TEST)?;
    Ok(())
}
