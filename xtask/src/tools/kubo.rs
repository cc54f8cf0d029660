//! Kubo's `ipfs`, built from the pinned and checksummed Go modules of `xtask/tools/kubo`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pinrail_testbed::cache;
use pinrail_testbed::command::{program, run};
use pinrail_testbed::environment::{Environment, root};
use pinrail_testbed::kubo;

use super::system;
use crate::progress::Step;

/// The Go that builds Kubo where the machine's own is older.
const TOOLCHAIN: &str = "go1.26.8";

/// Build `ipfs`, unless it is built.
pub fn install(environment: &Environment, step: &Step) -> Result<()> {
    let (sources, key) = kubo::sources()?;
    cache::folder(environment, kubo::NAME, &key, |draft| build(environment, &sources, draft, step)).map(drop)
}

fn build(environment: &Environment, sources: &Path, draft: &Path, step: &Step) -> Result<()> {
    let go = go(environment, step)?;
    let mut command = program(go, sources);
    command
        .args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(draft.join("ipfs"))
        .arg("github.com/ipfs/kubo/cmd/ipfs")
        // A Go that is older than the modules ask for fetches the one that they ask for.
        .env("GOTOOLCHAIN", "auto")
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOWORK", "off");
    step.detail("go build github.com/ipfs/kubo/cmd/ipfs");
    step.run(command)?.success("go build of Kubo")?;
    Ok(())
}

/// A Go that is new enough, or fetches what is.
///
/// Since 1.21 `go` fetches a newer toolchain by itself. An older one, as in Debian 12, can still
/// download that toolchain as the module that it is, with its checksum.
fn go(environment: &Environment, step: &Step) -> Result<PathBuf> {
    let go = match environment.find_program("go") {
        Some(go) => go,
        None => system::install(environment, "go", "golang-go", step)?,
    };
    let version = run(version_of(&go))?.success("go version")?;
    let minor = minor_version(&version).with_context(|| format!("`{}` is no version of go", version.trim()))?;
    if minor >= 21 {
        return Ok(go);
    }
    download_toolchain(&go, step)
}

fn version_of(go: &Path) -> std::process::Command {
    let mut command = program(go, root());
    command.arg("version").env("GOTOOLCHAIN", "local");
    command
}

/// `go version go1.26.8 linux/amd64` is 26.
fn minor_version(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let minor: String = version.chars().take_while(char::is_ascii_digit).collect();
    minor.parse().ok()
}

fn download_toolchain(go: &Path, step: &Step) -> Result<PathBuf> {
    step.detail("downloading a newer Go");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let module = format!("golang.org/toolchain@v0.0.1-{TOOLCHAIN}.linux-{architecture}");
    let folder = tempfile::tempdir()?;
    let mut command = program(go, folder.path());
    command.args(["mod", "download", "-json", &module]);
    let answer = run(command)?.success("go mod download of the toolchain")?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let toolchain = PathBuf::from(answer["Dir"].as_str().context("go mod download names no folder")?);
    // Modules carry no permissions; what `go` itself would set after such a download.
    make_executable(&toolchain.join("bin"))?;
    let tools = format!("pkg/tool/linux_{architecture}");
    make_executable(&toolchain.join(tools))?;
    Ok(toolchain.join("bin/go"))
}

fn make_executable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read() {
        assert_eq!(minor_version("go version go1.26.8 linux/amd64"), Some(26));
        assert_eq!(minor_version("go version go1.19rc2 linux/arm64"), Some(19));
        assert_eq!(minor_version("gccgo"), None);
    }
}
