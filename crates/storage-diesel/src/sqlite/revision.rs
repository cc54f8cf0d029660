//! Whether anything was committed since the last look, by this process or another.

use std::sync::{Mutex, PoisonError};

use super::Conn;

/// A connection that only watches.
pub(super) struct Revisions(Mutex<Watch>);

struct Watch {
    /// **Invariant:** it writes nothing, or its own commits would not be seen: `data_version` tells of others' alone.
    conn: Conn,
    version: i64,
    revision: u64,
}

impl Revisions {
    /// Watch through a connection of its own.
    pub(super) fn watch(conn: Conn) -> Self {
        Self(Mutex::new(Watch { conn, version: 0, revision: 0 }))
    }

    /// A number that has moved if anything was committed since it was asked for before. One connection is asked under
    /// a lock, so that the answers come in the order of the commits; `None` when the database does not answer at once.
    pub(super) fn latest(&self) -> Option<u64> {
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = watch.conn.data_version().ok()?;
        if version != watch.version {
            watch.version = version;
            watch.revision += 1;
        }
        Some(watch.revision)
    }
}
