//! Things that are dear to make are made once for each version, outside the clone.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::environment::Environment;
use crate::signals;

/// Returns the folder `name-key` of the cache, made by `make` where it is missing.
///
/// It is made beside its place and moved there whole, so that what is found is never half made.
/// A second process that wants it waits for the first one instead of making it too.
pub fn folder(
    environment: &Environment,
    name: &str,
    key: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    if let Some(place) = find(environment, name, key) {
        return Ok(place);
    }
    let _turn = turn(environment, name)?;
    if let Some(place) = find(environment, name, key) {
        return Ok(place);
    }
    let (cache, place) = (&environment.cache, place_of(environment, name, key));
    let draft = cache.join(format!("{name}.draft"));
    clear(&draft)?;
    fs::create_dir_all(&draft)?;
    make(&draft).inspect_err(|_| drop(clear(&draft)))?;
    fs::rename(&draft, &place)?;
    Ok(place)
}

/// Returns the folder `name-key` of the cache, if it is made already.
pub fn find(environment: &Environment, name: &str, key: &str) -> Option<PathBuf> {
    Some(place_of(environment, name, key)).filter(|place| place.is_dir())
}

fn place_of(environment: &Environment, name: &str, key: &str) -> PathBuf {
    environment.cache.join(format!("{name}-{key}"))
}

/// Waits until no other process does what is called `name`; others wait until this is dropped.
pub fn turn(environment: &Environment, name: &str) -> Result<File> {
    let cache = &environment.cache;
    fs::create_dir_all(cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    wait_for(&lock)?;
    Ok(lock)
}

fn wait_for(lock: &File) -> Result<()> {
    while let Err(error) = lock.try_lock() {
        if let TryLockError::Error(error) = error {
            return Err(error.into());
        }
        signals::check()?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Removes a folder if it exists.
pub fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    Ok(())
}

/// Returns a key that changes with the content of any of the files.
pub fn key_of(files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    let start = hash.finalize().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    Ok(format!("{start:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(cache: &Path) -> Environment {
        let mut environment = Environment::read();
        environment.cache = cache.to_owned();
        environment
    }

    #[test]
    fn a_folder_is_made_once() {
        let cache = tempfile::tempdir().unwrap();
        let environment = environment(cache.path());
        let make = |folder: &Path| Ok(fs::write(folder.join("it"), "made")?);
        let place = folder(&environment, "thing", "1", make).unwrap();
        assert_eq!(fs::read_to_string(place.join("it")).unwrap(), "made");
        let again = folder(&environment, "thing", "1", |_| panic!("made twice")).unwrap();
        assert_eq!(again, place);
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let cache = tempfile::tempdir().unwrap();
        let environment = environment(cache.path());
        let failed = folder(&environment, "thing", "1", |folder| {
            fs::write(folder.join("half"), "")?;
            anyhow::bail!("no network")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no network");
        let place = folder(&environment, "thing", "1", |_| Ok(())).unwrap();
        assert_eq!(fs::read_dir(place).unwrap().count(), 0);
    }
}
