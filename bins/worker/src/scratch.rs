//! A block store that is thrown away with the command that made it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use pinrail_block_store::{BlockStore, StoreOptions};

/// A folder in the system's temporary place, until this is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Make one whose name begins with `prefix`.
    pub fn new(prefix: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir().context("no temporary folder can be made")?;
        Ok(Self(folder.keep()))
    }

    /// Open a block store in it.
    pub fn open_blocks(&self) -> Result<BlockStore> {
        Ok(BlockStore::open(&self.0, unreserved())?)
    }
}

/// Options of a store that keeps no disk space free.
pub fn unreserved() -> StoreOptions {
    StoreOptions { reserve: 0, ballast: 0, ..StoreOptions::default() }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A thread that is still writing finds the folder no more, so it makes no file while they are being removed.
        let aside = self.0.with_extension("gone");
        let folder = if fs::rename(&self.0, &aside).is_ok() { &aside } else { &self.0 };
        if let Err(problem) = fs::remove_dir_all(folder) {
            tracing::warn!(%problem, folder = %folder.display(), "a temporary folder stays behind");
        }
    }
}
