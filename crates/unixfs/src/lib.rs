//! Files, folders and CARs into a block store, and out of it again.
//!
//! All of it blocks on the disk; call it where that is allowed.

mod car;
mod export;
mod file;
mod folder;
mod importer;
mod pb;
mod shard;

use std::io;
use std::path::{Path, PathBuf};

use cid::Cid;
use pinrail_ipfs::LinksError;
use thiserror::Error;

use importer::Importer;
use pinrail_block_store::{BlockStore, NodeKey, StoreError};

pub use export::export;

/// Why something could not be taken in or given out.
#[derive(Debug, Error)]
pub enum UnixFsError {
    /// A file or a folder could not be read or written.
    #[error("{} cannot be read or written", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file's name that a directory cannot hold.
    #[error("{0}: the name is not UTF-8")]
    Name(PathBuf),
    /// A folder entry that is neither a file nor a folder.
    #[error("{0}: neither a file nor a folder")]
    Kind(PathBuf),
    /// A folder too large for one block, with names that no shards can tell apart.
    #[error("{path}: {one:?} and {other:?} have the same murmur3 hash, wanted names that differ in it")]
    SameHash {
        /// Which folder.
        path: PathBuf,
        /// One of the names.
        one: String,
        /// The other.
        other: String,
    },
    /// Not a CAR, or a damaged one.
    #[error("not a CAR of version 1 or 2: {0}")]
    NotCar(String),
    /// A block of a CAR that is not what its CID says.
    #[error("block {0} does not match its CID")]
    Mismatch(Box<Cid>),
    /// A block that cannot be kept.
    #[error("block {cid}: {reason}")]
    BadBlock {
        /// Which one.
        cid: Box<Cid>,
        /// What is wrong with it.
        reason: String,
    },
    /// Some of the DAG is not there.
    #[error("the DAG of {root} is not whole, {missing} is missing")]
    Holes {
        /// The DAG's root.
        root: Box<Cid>,
        /// One of the missing blocks.
        missing: Box<Cid>,
    },
    /// The block store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UnixFsError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }

    fn links(cid: &Cid) -> impl FnOnce(LinksError) -> Self {
        let cid = Box::new(*cid);
        |error| Self::BadBlock { cid, reason: error.to_string() }
    }
}

/// Take in a file, a folder, or (by its name) a `.car`, and keep its roots: one, or as many as the CAR has.
///
/// Files and folders become what Helia's `unixfs` makes of them, CID by CID: version 1, raw leaves of 1 MiB, at most
/// 1,024 children, names that begin with a dot left out, and folders sharded if the names and CIDs of their files come
/// to more than 256 KiB. Helia does not count folders within, so a folder of very many could pass the 2 MiB that other
/// nodes take as a block: only there its CID differs, since it is sharded too. `now_ms` names the import, so it must
/// differ from one to the next.
pub fn add(store: &BlockStore, path: &Path, now_ms: u64) -> Result<Vec<Cid>, UnixFsError> {
    let mut importer = Importer::begin(store, now_ms)?;
    let kind = path.metadata().map_err(UnixFsError::file(path))?;
    let roots = if kind.is_dir() {
        vec![folder::add(&mut importer, path)?.cid]
    } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("car")) {
        car::add(&mut importer, path)?
    } else {
        vec![file::add(&mut importer, path)?.cid]
    };
    importer.wait()?;
    for root in &roots {
        keep(store, root)?;
    }
    importer.release()?;
    Ok(roots)
}

/// Take in the blocks of a CAR, each held against its CID, and return its roots. They are kept for a day, or for as
/// long as something that is pinned leads to them.
pub fn import_car(store: &BlockStore, path: &Path, now_ms: u64) -> Result<Vec<Cid>, UnixFsError> {
    let mut importer = Importer::begin(store, now_ms)?;
    let added = car::add(&mut importer, path).and_then(|roots| importer.wait().map(|()| roots));
    importer.keep_for_a_day(now_ms)?;
    added
}

/// Pin a DAG that is there.
fn keep(store: &BlockStore, root: &Cid) -> Result<(), UnixFsError> {
    let key = NodeKey::from(root);
    if key.is_inline_leaf() {
        return Ok(());
    }
    let epoch = store.root_state(&key)?.map_or(1, |state| state.epoch);
    store.begin(key, epoch)?;
    match store.finish(key, epoch) {
        Ok(_) => Ok(()),
        Err(StoreError::Holes(holes)) => {
            let missing = holes.first().map_or(*root, NodeKey::to_cid);
            Err(UnixFsError::Holes { root: Box::new(*root), missing: Box::new(missing) })
        }
        Err(error) => Err(error.into()),
    }
}
