//! What a folder takes on the disk.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// The size that the file system counts in blocks of.
const BLOCK: u64 = 512;

/// The bytes that the files of a folder take, holes left out, and one file by its name.
pub fn used(folder: &Path, but: &str) -> Result<u64> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        let kind = entry.metadata();
        // A segment may be removed while we look.
        if kind.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) || entry.file_name() == but {
            continue;
        }
        let kind = kind?;
        bytes += if kind.is_dir() { used(&entry.path(), but)? } else { kind.blocks() * BLOCK };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_the_ballast_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("segment"), vec![1; 100_000]).unwrap();
        fs::write(inner.join("ballast"), vec![1; 900_000]).unwrap();
        fs::File::create(inner.join("hollow")).unwrap().set_len(900_000).unwrap();
        let used = used(folder.path(), "ballast").unwrap();
        assert!((100_000..200_000).contains(&used), "{used}");
    }
}
