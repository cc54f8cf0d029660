//! The clock that the binaries are shown: the machine's, moved on by hours.
//!
//! `libfaketime` stands between them and the system and reads the offset from a file, so that the
//! product needs no way of its own to be lied to. Timers, which go by the monotonic clock, go on as
//! they do on a machine that slept.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::command::{program, run};
use crate::environment::{Environment, root};
use crate::progress::Step;
use crate::tools::system;

/// How long a program may go on by the old offset.
const NOTICED: Duration = Duration::from_millis(1_100);

/// For programs with threads: it holds a lock while it reads the offset.
const THREADED: &str = "libfaketimeMT.so.1";
/// For programs that ask for the time in signal handlers, as PostgreSQL does: that lock would hang them for ever.
pub const SIGNALLED: &str = "libfaketime.so.1";

const HOUR: u64 = 3_600;

/// The offset of one run.
#[derive(Debug)]
pub struct Clock {
    libraries: PathBuf,
    /// With the file. Servers that run as somebody else read it too.
    folder: TempDir,
    hours: AtomicU64,
}

impl Clock {
    /// A clock that goes with the machine's for now.
    pub fn start(environment: &Environment, step: &Step) -> Result<Self> {
        if find_libraries().is_none() {
            system::install(environment, "faketime", "faketime", step)?;
        }
        let libraries = find_libraries().context("faketime is installed, but its libraries are nowhere in /usr/lib")?;
        let folder =
            tempfile::Builder::new().prefix("pinrail-clock-").permissions(Permissions::from_mode(0o755)).tempdir()?;
        let clock = Self { libraries, folder, hours: AtomicU64::new(0) };
        clock.write(0)?;
        Ok(clock)
    }

    /// Have a program see this clock.
    pub fn show(&self, command: &mut Command) {
        command.envs(self.environment(THREADED));
    }

    /// The variables by which a program sees this clock through one of the libraries.
    pub fn environment(&self, library: &str) -> Vec<(String, String)> {
        let (library, file) = (self.libraries.join(library).display().to_string(), self.file().display().to_string());
        let variables = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
            // Whole seconds: at 1 it would be read anew after two of them only.
            ("FAKETIME_CACHE_DURATION", "0"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Move it on by hours. Programs that run notice within [`NOTICED`].
    pub fn advance(&self, hours: u64) -> Result<()> {
        self.write(self.hours.fetch_add(hours, Ordering::Relaxed) + hours)
    }

    /// Move it on by an hour, and wait until every program that runs has noticed: none of them says so.
    pub fn pass_an_hour(&self) -> Result<()> {
        self.advance(1)?;
        thread::sleep(NOTICED);
        Ok(())
    }

    /// By how much it is ahead.
    pub fn hours(&self) -> u64 {
        self.hours.load(Ordering::Relaxed)
    }

    /// What every program reads from it by now, or later: RFC 3339 in UTC, without fractions.
    pub fn shown(&self) -> Result<String> {
        let mut date = program(Path::new("date"), root());
        date.args(["--utc", "+%FT%T", &format!("--date={} hours", self.hours())]);
        Ok(run(date)?.success("date")?.trim().to_owned())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    fn write(&self, hours: u64) -> Result<()> {
        // Renamed, so that nobody reads half of a number.
        let file = self.file();
        let beside = file.with_extension("new");
        fs::write(&beside, format!("+{}\n", hours * HOUR))
            .and_then(|()| fs::rename(&beside, &file))
            .with_context(|| format!("{} cannot be written", file.display()))
    }
}

fn find_libraries() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime"));
    let mut folders = folders.chain([PathBuf::from("/usr/lib/faketime")]);
    folders.find(|folder| folder.join(THREADED).is_file() && folder.join(SIGNALLED).is_file())
}
