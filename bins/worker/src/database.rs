//! The database that the settings name.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use pinrail_domain::settings::SCHEMA_WAIT;
use pinrail_spec::Timestamp;
use pinrail_storage::Storage;
use pinrail_storage_diesel::{Database, DatabaseOptions};

use crate::settings::Common;
use crate::system::now;

/// On SQLite the worker's steps can wait for one another, so that it commits ten times a second at most.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// Open the database, whose schema has to be there or to come within thirty seconds.
pub async fn open(common: &Common) -> Result<Arc<dyn Storage>> {
    let connections = usize::from(common.database_connections);
    let actor = "pinrail-worker".to_owned();
    let options = DatabaseOptions { wait: SCHEMA_WAIT, commit_interval: COMMIT_INTERVAL, connections, actor };
    let clock = || Timestamp::from_millis(i64::try_from(now()).unwrap_or(i64::MAX));
    Ok(Database::parse(&common.database())?.open(&options, Arc::new(clock)).await?)
}
