//! The space that is left on the disk of a SQLite database: below the reserve the service takes no new pins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pinrail_domain::format_size;
use pinrail_http::State;
use pinrail_storage_diesel::Database;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::system::free_space;

/// How often the disk is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Look at the disk every second and tell `state` whether less than `reserve` bytes are left. Of a server's disk nothing
/// is known here: what it refuses is answered in the same way.
pub async fn watch(database: Database, reserve: u64, state: State) {
    let Database::Sqlite(file) = database else { return };
    let folder =
        file.parent().filter(|folder| *folder != Path::new("")).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let mut was_full = false;
    loop {
        let looked_at = folder.clone();
        let free = spawn_blocking(move || free_space(&looked_at)).await;
        if let Ok(Ok(free)) = free {
            let is_full = free < reserve;
            if is_full != was_full {
                tell(is_full, free, reserve);
            }
            state.set_full(is_full);
            was_full = is_full;
        }
        sleep(EVERY).await;
    }
}

fn tell(is_full: bool, free: u64, reserve: u64) {
    let (free, reserve) = (format_size(free), format_size(reserve));
    if is_full {
        warn!(%free, %reserve, "the disk of the database is at its reserve, new pins are answered 503");
    } else {
        info!(%free, %reserve, "the disk of the database has room again");
    }
}
