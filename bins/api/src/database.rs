//! The database that the settings name.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pinrail_storage::Storage;
use pinrail_storage_diesel::{ConsistencyCheck, Database, DatabaseOptions};

use crate::settings::Common;
use crate::system::{now, operator};

/// The database that the settings name.
pub fn named(common: &Common) -> Result<Database> {
    Ok(Database::parse(&common.database())?)
}

/// The database that a command names: as the settings do, or by the path of a SQLite file.
pub fn parse(text: &str) -> Result<Database> {
    if text.is_empty() || text.contains(':') {
        return Ok(Database::parse(text)?);
    }
    Ok(Database::Sqlite(text.into()))
}

/// Open the database, whose schema has to be there, or to come within `wait`.
pub async fn open(common: &Common, wait: Duration) -> Result<Arc<dyn Storage>> {
    Ok(open_to_recount(common, wait).await?)
}

/// The same, for whoever holds its counters against what they count.
pub async fn open_to_recount(common: &Common, wait: Duration) -> Result<Arc<dyn ConsistencyCheck>> {
    let connections = usize::from(common.database_connections);
    let options = DatabaseOptions { wait, commit_interval: Duration::ZERO, connections, actor: operator() };
    Ok(named(common)?.open(&options, Arc::new(now)).await?)
}

/// Make a folder of the data folder if it is not there, for its owner alone.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the folder {} cannot be made", folder.display()))
}
