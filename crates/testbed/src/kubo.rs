//! Kubo's `ipfs`, and a throw-away repository of it that talks to nobody outside of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::cache;
use crate::child::Running;
use crate::command::{Finished, program, run};
use crate::environment::{Environment, root};
use crate::tools;

/// The name of the built program in the cache.
pub const NAME: &str = "kubo";

/// Returns the folder with the pinned and checksummed Go modules, and the key of what is built from them.
pub fn sources() -> Result<(PathBuf, String)> {
    let sources = root().join("xtask/tools/kubo");
    let key = cache::key_of(&[sources.join("go.mod"), sources.join("go.sum")])?;
    Ok((sources, key))
}

/// Returns the path of `ipfs`, if it is built.
pub fn find(environment: &Environment) -> Result<PathBuf> {
    let folder = cache::find(environment, NAME, &sources()?.1).ok_or_else(|| tools::missing("Kubo", "kubo"))?;
    Ok(folder.join("ipfs"))
}

/// A repository, and its daemon while that runs.
pub struct Repository {
    ipfs: PathBuf,
    folder: PathBuf,
    daemon: Option<Running>,
}

impl Repository {
    /// Makes the repository in `folder`.
    pub fn init(ipfs: PathBuf, folder: &Path) -> Result<Self> {
        Self::init_with(ipfs, folder, &[], Vec::new())
    }

    /// Makes it with further arguments of `ipfs init`, and with settings in place of those that keep it to itself.
    pub fn init_with(
        ipfs: PathBuf,
        folder: &Path,
        arguments: &[&str],
        more: Vec<(&'static str, Value)>,
    ) -> Result<Self> {
        let repository = Self { ipfs, folder: folder.to_owned(), daemon: None };
        repository.run(&[&["init", "--profile=test"], arguments].concat())?;
        let path = repository.home().join("config");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        for (place, value) in settings().into_iter().chain(more) {
            set(&mut config, place, value).with_context(|| format!("{place} cannot be set"))?;
        }
        fs::write(path, serde_json::to_vec_pretty(&config)?)?;
        Ok(repository)
    }

    fn home(&self) -> PathBuf {
        self.folder.join("kubo")
    }

    /// Starts the daemon and waits until it takes commands.
    pub fn start(&mut self) -> Result<()> {
        let log = self.folder.join("kubo.log");
        let mut daemon = Running::start("ipfs daemon", self.command(&["daemon"]), &log)?;
        daemon.wait_until(Duration::from_mins(1), "readiness", || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("Daemon is ready"))
        })?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Stops the daemon; commands then work on the repository itself.
    pub fn stop(&mut self) -> Result<()> {
        self.daemon.take().map_or(Ok(()), |daemon| daemon.stop().map(drop))
    }

    /// Runs a command that has to succeed; returns its output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.finish(arguments)?.success(&format!("ipfs {}", arguments.join(" ")))
    }

    /// Runs a command that has to fail; returns its output.
    pub fn refused(&self, arguments: &[&str]) -> Result<String> {
        let Finished { status, output } = self.finish(arguments)?;
        if status.success() {
            bail!("ipfs {} succeeded, wanted a refusal\n{output}", arguments.join(" "));
        }
        Ok(output)
    }

    /// Adds a file with this text; returns its CID.
    pub fn add(&self, text: &str) -> Result<String> {
        let file = self.folder.join("text");
        fs::write(&file, text)?;
        let file = file.to_string_lossy();
        Ok(self.run(&["add", "--quieter", "--cid-version=1", &file])?.trim().to_owned())
    }

    /// Puts a block of this codec, as it is; returns its CID.
    pub fn put_block(&self, codec: &str, block: &[u8]) -> Result<String> {
        let file = self.folder.join("block");
        fs::write(&file, block)?;
        let file = file.to_string_lossy();
        Ok(self.run(&["block", "put", &format!("--cid-codec={codec}"), &file])?.trim().to_owned())
    }

    fn finish(&self, arguments: &[&str]) -> Result<Finished> {
        // A command that waits for the network would wait for ever.
        let mut bounded = vec!["--timeout=60s"];
        bounded.extend(arguments);
        run(self.command(&bounded))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.ipfs, &self.folder);
        command
            .args(arguments)
            .env("IPFS_PATH", self.home())
            .env("IPFS_TELEMETRY", "off")
            // How often the daemon looks at its MFS policies; Kubo's own tests set it too.
            .env("MFS_PIN_POLL_INTERVAL", "1s");
        command
    }
}

/// Everything that calls out is off, and everything that listens does so on loopback.
fn settings() -> Vec<(&'static str, Value)> {
    let any = "/ip4/127.0.0.1/tcp/0";
    vec![
        ("Addresses.Swarm", json!([any])),
        ("Addresses.API", json!(any)),
        ("Addresses.Gateway", json!(any)),
        ("AutoConf.Enabled", json!(false)),
        ("AutoTLS.Enabled", json!(false)),
        ("Bootstrap", json!([])),
        ("DNS.Resolvers", json!({})),
        ("Discovery.MDNS.Enabled", json!(false)),
        ("HTTPRetrieval.Enabled", json!(false)),
        ("Ipns.DelegatedPublishers", json!([])),
        ("Provide.Enabled", json!(false)),
        ("Routing.DelegatedRouters", json!([])),
        ("Routing.Type", json!("none")),
        ("Swarm.DisableNatPortMap", json!(true)),
        ("Swarm.EnableHolePunching", json!(false)),
        ("Swarm.RelayClient.Enabled", json!(false)),
        ("Swarm.RelayService.Enabled", json!(false)),
        ("Version.SwarmCheckEnabled", json!(false)),
    ]
}

/// Set a value at a dotted place, making the objects on the way.
fn set(config: &mut Value, place: &str, value: Value) -> Result<()> {
    let mut at = config;
    for key in place.split('.') {
        if at.is_null() {
            *at = json!({});
        }
        at = at.as_object_mut().context("it is no object")?.entry(key).or_insert(Value::Null);
    }
    *at = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_makes_its_way() {
        let mut config = json!({ "Swarm": { "A": 1 } });
        set(&mut config, "Swarm.RelayClient.Enabled", json!(false)).unwrap();
        set(&mut config, "Bootstrap", json!([])).unwrap();
        let wanted = json!({ "Swarm": { "A": 1, "RelayClient": { "Enabled": false } }, "Bootstrap": [] });
        assert_eq!(config, wanted);
        assert!(set(&mut config, "Swarm.A.B", json!(1)).is_err());
    }
}
