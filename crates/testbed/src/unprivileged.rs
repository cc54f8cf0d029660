//! Programs without the rights of root: root, as which tests often run, writes wherever it likes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user and the group without rights.
const NOBODY: u32 = 65_534;

/// A folder whose files can be read and not written by anybody, until this is dropped.
#[derive(Debug)]
pub struct ReadOnly(PathBuf);

impl ReadOnly {
    /// Locks a folder with all that it holds.
    pub fn new(folder: PathBuf) -> Self {
        set_modes(&folder, 0o444, 0o555);
        Self(folder)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        set_modes(&self.0, 0o644, 0o755);
    }
}

fn set_modes(folder: &Path, files: u32, folders: u32) {
    fs::set_permissions(folder, PermissionsExt::from_mode(folders)).expect("it is ours");
    for entry in fs::read_dir(folder).expect("it is ours") {
        let path = entry.expect("it is ours").path();
        if path.is_dir() {
            set_modes(&path, files, folders);
        } else {
            fs::set_permissions(path, PermissionsExt::from_mode(files)).expect("it is ours");
        }
    }
}

/// A program that runs without the rights of root.
#[derive(Debug)]
pub struct Unprivileged {
    program: PathBuf,
    is_root: bool,
}

impl Unprivileged {
    /// Takes `program`, linked into `folder` if the tests run as root: the build folder may be closed to others.
    pub fn new(program: &Path, folder: &Path) -> Self {
        if fs::metadata("/proc/self").expect("every process has one").uid() != 0 {
            return Self { program: program.to_owned(), is_root: false };
        }
        fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("it is ours");
        let here = folder.join("program");
        fs::hard_link(program, &here).or_else(|_| fs::copy(program, &here).map(drop)).expect("there is room");
        Self { program: here, is_root: true }
    }

    /// Returns a command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}
