//! The program that keeps a database from being opened.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;

use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

/// A process that holds a lock on a database's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The name of its program, as the system shows it.
    program: String,
    /// Its process id.
    process: i32,
}

impl Holder {
    /// One of the processes that hold `path`, if any does and the system names it.
    ///
    /// Closing the file that is opened here gives up all locks of this process on it, so this is for a process that
    /// has just failed to open the database.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let file = File::options().read(true).write(true).open(path).ok()?;
        let whole_file =
            Flock { start: 0, length: 0, pid: None, typ: FlockType::WriteLock, offset_type: FlockOffsetType::Set };
        let process = fcntl_getlk(&file, &whole_file).ok()??.pid?.as_raw_pid();
        let program = fs::read_to_string(format!("/proc/{process}/comm")).ok()?.trim().to_owned();
        Some(Self { program, process })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (process {})", self.program, self.process)
    }
}
