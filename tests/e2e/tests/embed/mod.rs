//! Somebody else's service that depends on pinrail-domain alone, resolved with no lock and no patch.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use pinrail_testbed::command::{cargo, run};
use pinrail_testbed::environment::{Environment, root};
use serde_json::Value;

/// The service's only test; it is kept as a file so that it reads as what an embedder writes.
const TEST: &str = include_str!("verify.rs");

#[test]
fn a_workspace_of_its_own_verifies_a_token_with_pinrail_domain_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_service(folder.path())?;
    let mut command = cargo(&Environment::read(), ["test", "--test", "verify"]);
    command
        .current_dir(folder.path())
        .arg("--target-dir")
        .arg(folder.path().join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let output = run(command)?.success("cargo test in the embedding service")?;
    ensure!(output.contains("test result: ok. 1 passed"), "{output}");
    Ok(())
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
