//! The worker's part of the data folder: `node/id`, `node/key` and `blocks`.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use pinrail_block_store::{BlockStore, StoreOptions};
use pinrail_domain::NodeId;
use pinrail_ipfs_embedded::{Keypair, load_or_create_key};
use pinrail_spec::Timestamp;
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};

use crate::system::{now, random};

/// Where a worker keeps what is its own.
pub struct NodeFolder(PathBuf);

impl NodeFolder {
    /// The worker's part of `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.to_owned())
    }

    /// Refuses to run as root on the folder of another user: the files that root creates there are root's, and that
    /// user's programs cannot read them. What is created from now on is for its owner alone.
    pub fn check_owner(&self) -> Result<()> {
        umask(Mode::RWXG | Mode::RWXO);
        match fs::metadata(&self.0).map(|found| found.uid()) {
            Ok(owner) if geteuid().is_root() && owner != 0 => {
                let folder = self.0.display();
                bail!(
                    "{folder} belongs to user id {owner}, and this runs as root: use `sudo -u '#{owner}' pinrail-worker ...`"
                )
            }
            _ => Ok(()),
        }
    }

    /// The folders that other users may read or change, each in a sentence with the command that ends it.
    pub fn open_to_others(&self) -> Vec<String> {
        let is_open = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
        if !is_open(&self.0) {
            return Vec::new();
        }
        let folders = [self.0.clone(), self.0.join("node"), self.0.join("blocks")];
        let sentence =
            |path: PathBuf| format!("{0} is open to other users of this machine: chmod go= {0}", path.display());
        folders.into_iter().filter(is_open).map(sentence).collect()
    }

    /// Open the block store; it locks the folder, so a second worker on it ends here.
    pub fn open_blocks(&self, options: StoreOptions) -> Result<BlockStore> {
        let folder = self.0.join("blocks");
        make_folder(&folder)?;
        Ok(BlockStore::open(&folder, options)?)
    }

    /// Open a block store that is there already, on which no worker runs.
    pub fn open_kept_blocks(&self, options: StoreOptions) -> Result<BlockStore> {
        let folder = self.0.join("blocks");
        if !folder.is_dir() {
            bail!("no worker ever ran on {}: there are no blocks", self.0.display());
        }
        Ok(BlockStore::open(&folder, options)?)
    }

    /// Whether a worker, or a command that reads its blocks, runs on it: it holds the lock of the block store.
    pub fn is_in_use(&self) -> Result<bool> {
        let folder = self.0.join("blocks");
        BlockStore::is_in_use(&folder).with_context(|| format!("the lock of {} cannot be read", folder.display()))
    }

    /// The node's libp2p key, made when it is not there yet.
    pub fn key(&self) -> Result<Keypair> {
        let folder = self.0.join("node");
        make_folder(&folder)?;
        let path = folder.join("key");
        load_or_create_key(&path).with_context(|| format!("the node's key {}", path.display()))
    }

    /// The node's id, if it has one.
    pub fn find_id(&self) -> Result<Option<NodeId>> {
        let path = self.0.join("node/id");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let id = text.trim().parse::<NodeId>();
                Ok(Some(id.map_err(|_| anyhow!("{} holds no node id, wanted a UUID", path.display()))?))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// The node's id, made when it is not there yet. Roots belong to a node by its id, so it is durable before it
    /// is told to anybody.
    pub fn id(&self) -> Result<NodeId> {
        if let Some(id) = self.find_id()? {
            return Ok(id);
        }
        let id = NodeId::new(Timestamp::from_millis(i64::try_from(now()).unwrap_or(i64::MAX)), random());
        let folder = self.0.join("node");
        make_folder(&folder)?;
        let write = || -> std::io::Result<()> {
            let beside = folder.join("id.new");
            let mut file = File::create(&beside)?;
            writeln!(file, "{id}")?;
            file.sync_all()?;
            fs::rename(&beside, folder.join("id"))?;
            File::open(&folder)?.sync_all()
        };
        write().with_context(|| format!("the node's id cannot be written to {}", folder.display()))?;
        Ok(id)
    }
}

/// Make a folder of the data folder if it is not there, for its owner alone.
fn make_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the folder {} cannot be made", folder.display()))
}
