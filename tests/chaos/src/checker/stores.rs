//! What the block stores have to hold: what is pinned while it is, and nothing once nobody wants anything.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pinrail_testbed::command::run;
use serde_json::Value;

use super::{Checker, wait_until};
use crate::cluster::Home;

/// The roots that have to be in a store: a multihash is shorter than one with a SHA-256 when it is its block.
const STORED: &str = "roots.state = 'pinned' AND length(roots.multihash) = 34";

/// What has no row left when nobody wants anything.
const TABLES: [&str; 8] =
    ["roots", "pin_requests", "pin_meta", "pin_counts", "holds", "queue", "root_holders", "root_progress"];

impl Checker<'_> {
    /// Stop the workers, have every block read from the disk and hashed, and start them again.
    pub(super) fn hash_all(&self) -> Result<()> {
        self.cluster.workers().try_for_each(|worker| self.cluster.end(worker))?;
        let mut on_nodes = 0;
        for home in &self.cluster.homes {
            let known = look(home)?["pinned"].as_u64().unwrap_or_default();
            let here = format!("nodes.addresses LIKE '%/tcp/{}%'", home.port);
            let rows = format!("roots JOIN nodes ON nodes.key = roots.node WHERE {STORED} AND {here}");
            let pinned = self.cluster.database.count(&rows)?;
            // It may know of more: of what nobody wants any more, or what another node has by now.
            ensure!(known >= pinned, "{pinned} roots are pinned on the node at {}, its store has {known}", home.port);
            on_nodes += pinned;
        }
        let pinned = self.cluster.database.count(&format!("roots WHERE {STORED}"))?;
        ensure!(on_nodes == pinned, "{pinned} roots are pinned, {on_nodes} of them on these nodes");
        self.cluster.workers().try_for_each(|worker| self.cluster.start(worker))?;
        self.cluster.wait_until_ready()
    }

    /// Delete every pin, and wait until nothing is left of them: no row, no root, no block, no file with blocks.
    pub(super) fn empty(&self) -> Result<()> {
        self.of_each(|account| {
            for item in self.list(account)? {
                let id = item["requestid"].as_str().unwrap_or_default();
                self.client(account).delete(&format!("/pins/{id}"))?.expect(202)?;
            }
            let left = self.list(account)?;
            ensure!(left.is_empty(), "{} are left", left.len());
            Ok(())
        })?;
        wait_until(|| {
            let counts = TABLES.map(|table| Ok((self.cluster.database.count(table)?, table)));
            let counts = counts.into_iter().collect::<Result<Vec<_>>>()?;
            let left = counts.into_iter().filter(|(rows, _)| *rows > 0);
            Ok(left.map(|(rows, table)| format!("{rows} rows of {table}")).collect::<Vec<_>>().join(", "))
        })?;
        self.count()?;
        wait_until(|| {
            let files = self.cluster.homes.iter().map(|home| segments(&home.blocks()));
            let files = files.collect::<Result<Vec<_>>>()?.concat();
            Ok(files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "))
        })?;
        self.cluster.workers().try_for_each(|worker| self.cluster.end(worker))?;
        for home in &self.cluster.homes {
            let found = look(home)?;
            let empty = ["blocks", "bytes", "pinned", "unfinished"].iter().all(|what| found[what] == 0);
            ensure!(empty, "the store of the node at {} still has {found}", home.port);
        }
        Ok(())
    }
}

/// What `pinrail-worker check` finds in a data folder that is not in use.
fn look(home: &Home) -> Result<Value> {
    let mut command = home.instance.worker();
    command.args(["check", "--json"]);
    let found = run(command)?.success("pinrail-worker check")?;
    serde_json::from_str(&found).with_context(|| found.clone())
}

/// The files of a block store that hold blocks.
fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_are_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["00000001.seg", "index.redb", "ballast"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        assert_eq!(segments(folder.path()).unwrap(), [folder.path().join("00000001.seg")]);
        assert!(segments(&folder.path().join("none")).is_err());
    }
}
