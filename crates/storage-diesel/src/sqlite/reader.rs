//! The readers: a pool of connections, each answer from one snapshot.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use pinrail_storage::StorageError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Conn;
use super::connection::at_once;
use crate::error::{Failed, Step};

/// Connections that read, at least one.
pub(super) struct Readers {
    idle: Mutex<Vec<Conn>>,
    free: Arc<Semaphore>,
}

/// How long a read may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// One statement of microseconds: a snapshot by itself, so no transaction is begun for it.
    Single,
    /// Microseconds: it runs where it is asked for, since a thread of its own would cost more.
    Short,
    /// It may walk over an account: it runs on a thread that may block.
    Long,
}

impl Readers {
    pub(super) fn new(connections: Vec<Conn>) -> Self {
        Self { free: Arc::new(Semaphore::new(connections.len())), idle: Mutex::new(connections) }
    }

    /// Read within one snapshot.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        length: Length,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let closed = || StorageError::Unavailable("the readers have stopped".to_owned());
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| closed())?;
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lent = Lent { conn: Some(taken.ok_or_else(closed)?), pool: Arc::clone(self), _permit: permit };
        match length {
            Length::Single => lent.look_up(work),
            Length::Short => lent.read(work),
            Length::Long => tokio::task::spawn_blocking(move || lent.read(work)).await.map_err(|_| closed())?,
        }
    }
}

/// A connection that goes back to the pool, whatever happens to the read.
struct Lent {
    conn: Option<Conn>,
    pool: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Lent {
    fn look_up<T>(
        &mut self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>>,
    ) -> Result<T, StorageError> {
        Ok(at_once(work(self.conn()?))?)
    }

    fn read<T>(
        &mut self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>>,
    ) -> Result<T, StorageError> {
        let conn = self.conn()?;
        conn.begin().map_err(Failed::from)?;
        let outcome = at_once(work(conn));
        conn.roll_back().map_err(Failed::from)?;
        Ok(outcome?)
    }

    fn conn(&mut self) -> Result<&mut Conn, StorageError> {
        self.conn.as_mut().ok_or_else(|| StorageError::Unavailable("the connection was given back".to_owned()))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.conn.take());
    }
}
