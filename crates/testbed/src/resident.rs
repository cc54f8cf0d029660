//! The memory of a program that runs beside us, as Linux tells it.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::child::Running;

/// Returns the largest resident set so far.
pub fn peak_mebibytes(running: &Running) -> Result<f64> {
    mebibytes(running, "VmHWM:")
}

fn mebibytes(running: &Running, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("the kernel tells no {name}"))?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}

/// The resident set at a moment from which its growth is judged.
#[derive(Debug)]
pub struct Baseline {
    mebibytes: f64,
}

impl Baseline {
    /// Begins now: what the program held before at its most counts no longer.
    pub fn take(running: &Running) -> Result<Self> {
        // Makes the largest resident set the present one.
        fs::write(format!("/proc/{}/clear_refs", running.id()), "5").context("the kernel keeps the peak")?;
        Ok(Self { mebibytes: mebibytes(running, "VmRSS:")? })
    }

    /// Returns an error if the program held over `most` MiB more at any moment since; otherwise the growth, for people.
    pub fn ensure_grown_at_most(&self, running: &Running, most: u32) -> Result<String> {
        let grown = peak_mebibytes(running)? - self.mebibytes;
        ensure!(grown <= f64::from(most), "its memory grew by {grown:.0} MiB, wanted at most {most} MiB");
        Ok(format!("{grown:.0} MiB more memory"))
    }
}
