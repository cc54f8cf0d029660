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
use pinrail_testbed::command::{program, run};
use pinrail_testbed::environment::root;
use pinrail_testbed::tools::missing;
use tempfile::TempDir;

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
    /// Starts a clock that goes with the machine's for now.
    pub fn start() -> Result<Self> {
        let libraries = libraries().ok_or_else(|| missing("faketime", "chaos"))?;
        let folder =
            tempfile::Builder::new().prefix("pinrail-clock-").permissions(Permissions::from_mode(0o755)).tempdir()?;
        let clock = Self { libraries, folder, hours: AtomicU64::new(0) };
        clock.write(0)?;
        Ok(clock)
    }

    /// Has a program see this clock.
    pub fn show(&self, command: &mut Command) {
        command.envs(self.environment(THREADED));
    }

    /// Returns the variables by which a program sees this clock through one of the libraries.
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

    /// Moves it on by hours. Programs that run notice within [`NOTICED`].
    pub fn advance(&self, hours: u64) -> Result<()> {
        self.write(self.hours.fetch_add(hours, Ordering::Relaxed) + hours)
    }

    /// Moves it on by an hour, and wait until every program that runs has noticed: none of them says so.
    pub fn pass_an_hour(&self) -> Result<()> {
        self.advance(1)?;
        thread::sleep(NOTICED);
        Ok(())
    }

    /// Returns by how many hours it is ahead.
    pub fn hours(&self) -> u64 {
        self.hours.load(Ordering::Relaxed)
    }

    /// Returns what every program reads from it by now, or later: RFC 3339 in UTC, without fractions.
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

/// Returns the folder of the libraries, if they are installed.
fn libraries() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime"));
    let mut folders = folders.chain([PathBuf::from("/usr/lib/faketime")]);
    folders.find(|folder| folder.join(THREADED).is_file() && folder.join(SIGNALLED).is_file())
}
