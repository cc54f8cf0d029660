//! A second small node: `pinrail-worker provide` serves a file or a folder over bitswap.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::Deserialize;

use super::Instance;
use crate::child::Running;

/// How long the provider may take to read what it provides.
const READING: Duration = Duration::from_mins(1);

/// Something that is being provided; dropping it ends that.
#[derive(Debug)]
pub struct Provider {
    /// The root of what is provided.
    pub cid: String,
    /// Multiaddrs that end in the provider's peer id.
    pub addresses: Vec<String>,
    running: Running,
}

#[derive(Deserialize)]
struct Announcement {
    cid: String,
    addresses: Vec<String>,
}

impl Provider {
    /// Provides `path` from a node on any free port.
    pub fn start(instance: &Instance, path: &Path) -> Result<Self> {
        let mut command = instance.worker();
        command.arg("provide").arg(path).args(["--listen", "/ip4/127.0.0.1/tcp/0", "--json"]);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let log = instance.logs().join(format!("provide-{name}.log"));
        let mut running = Running::start("pinrail-worker provide", command, &log)?;
        let mut announcement = None;
        let path = log.clone();
        running.wait_until(READING, "CID", || {
            announcement = std::fs::read_to_string(&path).ok().as_deref().and_then(announced);
            announcement.is_some()
        })?;
        let Announcement { cid, addresses } = announcement.context("the provider printed nothing")?;
        Ok(Self { cid, addresses, running })
    }

    /// Stands still with all connections open.
    pub fn pause(&self) -> Result<()> {
        self.running.signal(Signal::STOP)
    }

    /// Goes on after a pause.
    pub fn resume(&self) -> Result<()> {
        self.running.signal(Signal::CONT)
    }

    /// Stops providing, and waits until the node is gone.
    pub fn stop(self) -> Result<()> {
        self.running.stop().map(drop)
    }
}

/// The first line of JSON, once it is whole; log lines may come before it.
fn announced(log: &str) -> Option<Announcement> {
    log.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(|line| serde_json::from_str(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_announces() {
        let line = r#"{"cid":"bafkqaaa","addresses":["/ip4/127.0.0.1/tcp/1/p2p/x"]}"#;
        assert!(announced(line).is_none());
        let announcement = announced(&format!("starting\n{line}\n")).unwrap();
        assert_eq!(announcement.cid, "bafkqaaa");
        assert_eq!(announcement.addresses.len(), 1);
    }
}
