//! The database that the settings name.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use pinrail_spec::Timestamp;
use pinrail_storage::Storage;
use pinrail_storage_diesel::{SqliteOptions, SqliteStorage};

use crate::settings::Common;
use crate::system::now;

/// How long to wait for a schema that `pinrail-api migrate` has yet to make.
const SCHEMA: Duration = Duration::from_secs(30);

/// The worker's steps can wait for one another, so that it commits four times a second at most.
const COMMIT_INTERVAL: Duration = Duration::from_millis(250);

/// Open the database, whose schema has to be there or to come within thirty seconds.
pub async fn open(common: &Common) -> Result<Arc<dyn Storage>> {
    let url = common.database();
    let Some(path) = url.strip_prefix("sqlite:") else {
        bail!("the database {url:?} cannot be opened, wanted sqlite:<path>");
    };
    let options =
        SqliteOptions { commit_interval: COMMIT_INTERVAL, wait_for_schema: SCHEMA, ..SqliteOptions::default() };
    let clock = || Timestamp::from_millis(i64::try_from(now()).unwrap_or(i64::MAX));
    Ok(Arc::new(SqliteStorage::open(Path::new(path), options, Arc::new(clock)).await?))
}
