//! A small folder to pin: the same bytes on every machine, so its CID is the same too.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

const TEXT: &str = "\
This folder was pinned by Pinrail.

A second node on this machine offered it, the worker fetched it block by block over bitswap,
checked every block against its CID, wrote it to disk and serves it to whoever asks.
";

/// The larger file's name.
pub const LARGE: &str = "three-mebibytes.bin";
/// Large enough for several levels of blocks, small enough to be there at once.
const BYTES: usize = 3 << 20;

/// Returns the folder of the sample.
pub fn folder(data: &Path) -> PathBuf {
    data.join("sample")
}

/// Writes the sample, unless it is there whole.
pub fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    fs::write(folder.join("README.txt"), TEXT)?;
    fs::write(folder.join(LARGE), bytes())?;
    Ok(())
}

/// Bytes without a pattern, so that no two blocks are alike.
fn bytes() -> Vec<u8> {
    let count = BYTES / 32;
    (0..count as u64).flat_map(|index| Sha256::digest(index.to_le_bytes())).collect()
}

/// Returns whether two folders hold the same files with the same bytes.
pub fn same(left: &Path, right: &Path) -> Result<bool> {
    let (names, others) = (names(left)?, names(right)?);
    if names != others {
        return Ok(false);
    }
    for name in names {
        if fs::read(left.join(&name))? != fs::read(right.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn names(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut names: Vec<PathBuf> = entries.map(|entry| Ok(entry?.file_name().into())).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_missing_file_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let (left, right) = (root.path().join("left"), root.path().join("right"));
        write(&left).unwrap();
        write(&right).unwrap();
        assert!(same(&left, &right).unwrap());
        fs::write(right.join("README.txt"), "else").unwrap();
        assert!(!same(&left, &right).unwrap());
        fs::remove_file(right.join("README.txt")).unwrap();
        assert!(!same(&left, &right).unwrap());
    }
}
