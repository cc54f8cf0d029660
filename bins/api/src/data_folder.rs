//! The data folder as the system sees it: whose it is, and what others may do with its files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};

use crate::settings::Common;

/// Nothing that this program creates can be read by other users, whatever the shell that started it says.
pub fn keep_files_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Refuses to run as root on the data folder or the database of another user: the files that root creates there are
/// root's, and that user's programs cannot read them.
pub fn check_owner(common: &Common) -> Result<()> {
    for path in [Some(common.data_dir.clone()), common.sqlite_file()].into_iter().flatten() {
        let Ok(owner) = fs::metadata(&path).map(|found| found.uid()) else { continue };
        if is_foreign(geteuid().as_raw(), owner) {
            let program = env!("CARGO_BIN_NAME");
            let path = path.display();
            bail!("{path} belongs to user id {owner}, and this runs as root: use `sudo -u '#{owner}' {program} ...`");
        }
    }
    Ok(())
}

/// Whether files that this user creates would be closed to the owner of the folder.
fn is_foreign(user: u32, owner: u32) -> bool {
    user == 0 && owner != 0
}

/// The files and folders that other users may read, change or lock, each in a sentence with the command that ends it.
pub fn open_to_others(common: &Common) -> Vec<String> {
    let sentence = |path: PathBuf| format!("{0} is open to other users of this machine: chmod go= {0}", path.display());
    private_paths(common).into_iter().filter(|path| is_open(path)).map(sentence).collect()
}

/// Whether others reach a path and may do something with it.
fn is_open(path: &Path) -> bool {
    let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.permissions().mode());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    mode(path) & 0o077 != 0 && mode(folder) & 0o011 != 0
}

fn private_paths(common: &Common) -> Vec<PathBuf> {
    let database = common.sqlite_file().map(|file| beside(&file)).unwrap_or_default();
    [common.data_dir.clone(), common.keys()].into_iter().chain(database).collect()
}

/// A SQLite database's file and those that belong to it.
fn beside(file: &Path) -> Vec<PathBuf> {
    let with = |ending: &&str| PathBuf::from(format!("{}{ending}", file.display()));
    ["", "-wal", "-shm", ".lock", ".turn"].iter().map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_not_work_in_the_folder_of_another_user() {
        assert!(is_foreign(0, 998));
        assert!(!is_foreign(0, 0) && !is_foreign(998, 998));
        assert!(!is_foreign(998, 0), "what such a user may do there, the modes say");
    }
}
