//! The database that the settings name.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pinrail_storage_diesel::{SqliteOptions, SqliteStorage};

use crate::settings::Common;
use crate::system::now;

/// The file of the SQLite database that the settings name.
pub fn path(common: &Common) -> Result<PathBuf> {
    let url = common.database();
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => bail!("the database {url:?} cannot be opened, wanted sqlite:<path>"),
    }
}

/// Open the database, whose schema has to be there, or to come within `wait`.
pub async fn open(common: &Common, wait: Duration) -> Result<SqliteStorage> {
    let options = SqliteOptions { wait_for_schema: wait, ..SqliteOptions::default() };
    Ok(SqliteStorage::open(&path(common)?, options, Arc::new(now)).await?)
}

/// Make a folder of the data folder if it is not there, for its owner alone.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the folder {} cannot be made", folder.display()))
}
