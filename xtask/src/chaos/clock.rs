//! The clock that the binaries are shown: the machine's, moved on by hours.
//!
//! `libfaketime` stands between them and the system and reads the offset from a file, so that the
//! product needs no way of its own to be lied to. Timers, which go by the monotonic clock, go on as
//! they do on a machine that slept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::environment::Environment;
use crate::progress::Step;
use crate::tools::system;

/// How long a program may go on by the old offset.
pub const NOTICED: Duration = Duration::from_millis(1_100);

const HOUR: u64 = 3_600;

/// The offset of one run.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
    hours: AtomicU64,
}

impl Clock {
    /// A clock that goes with the machine's for now; its file is in `folder`.
    pub fn start(environment: &Environment, folder: &Path, step: &Step) -> Result<Self> {
        if find_library().is_none() {
            system::install(environment, "faketime", "faketime", step)?;
        }
        let library = find_library().context("faketime is installed, but its library is in no folder of /usr/lib")?;
        let clock = Self { library, file: folder.join("clock"), hours: AtomicU64::new(0) };
        clock.write(0)?;
        Ok(clock)
    }

    /// Have a program see this clock.
    pub fn show(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_CACHE_DURATION", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }

    /// Move it on by hours. Programs that run notice within [`NOTICED`].
    pub fn advance(&self, hours: u64) -> Result<()> {
        self.write(self.hours.fetch_add(hours, Ordering::Relaxed) + hours)
    }

    /// By how much it is ahead.
    pub fn hours(&self) -> u64 {
        self.hours.load(Ordering::Relaxed)
    }

    fn write(&self, hours: u64) -> Result<()> {
        // Renamed, so that nobody reads half of a number.
        let beside = self.file.with_extension("new");
        fs::write(&beside, format!("+{}\n", hours * HOUR))
            .and_then(|()| fs::rename(&beside, &self.file))
            .with_context(|| format!("{} cannot be written", self.file.display()))
    }
}

fn find_library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime"));
    let folders = folders.chain([PathBuf::from("/usr/lib/faketime")]);
    folders.map(|folder| folder.join("libfaketimeMT.so.1")).find(|library| library.is_file())
}
