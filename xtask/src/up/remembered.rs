//! What one run of `up` leaves to the next: the token and the sample's pin request.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Empty texts where nothing is known yet.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    pub token: String,
    pub request: String,
}

impl Remembered {
    /// What the last run wrote; nothing if there was none or it cannot be read.
    pub fn read(folder: &Path) -> Self {
        fs::read(file(folder)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Written for its owner alone, since the token is as good as a password.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = file(folder);
        let written = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&serde_json::to_vec(self)?));
        written.with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("up.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_reads_what_only_we_may() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Remembered::read(folder.path()), Remembered::default());
        let remembered = Remembered { token: "secret".to_owned(), request: "1".to_owned() };
        remembered.write(folder.path()).unwrap();
        assert_eq!(Remembered::read(folder.path()), remembered);
        let mode = fs::metadata(file(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
