//! The readers: a pool of connections, each answer from one snapshot.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::{ConnectionError, ConnectionResult};
use futures::future::BoxFuture;
use pinrail_storage::StorageError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Conn;
use super::connection::{at_once, open_reader, wrap};
use super::interrupt::Interrupt;
use super::pace::Pace;
use crate::TimeSource;
use crate::error::{TxError, TxResult};
use crate::room::{LONGEST_LIST, Permit, too_long};

/// Connections that read, at least one.
pub(super) struct Readers {
    idle: Mutex<Vec<Reader>>,
    free: Arc<Semaphore>,
}

/// A connection that reads, and what ends a read on it.
pub(super) struct Reader {
    conn: Conn,
    interrupt: Arc<Interrupt>,
}

/// How long a read may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// One statement of microseconds: a snapshot by itself, so no transaction is begun for it.
    Single,
    /// Microseconds: it runs where it is asked for, since a thread of its own would cost more.
    Short,
    /// It reads everything: it runs on a thread that may block, to its end.
    Long,
}

impl Reader {
    /// Open the database at `path` to read it.
    pub(super) fn open(path: &Path, time: TimeSource, pace: &Arc<Pace>) -> ConnectionResult<Self> {
        let mut connection = open_reader(path)?;
        let interrupt = Arc::<Interrupt>::default();
        interrupt.register(&mut connection).map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(Self { conn: wrap(connection, time).paced(pace), interrupt })
    }
}

impl Readers {
    pub(super) fn new(readers: Vec<Reader>) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(readers.len())), idle: Mutex::new(readers) })
    }

    /// Read within one snapshot.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        length: Length,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let mut lent = self.lend().await?;
        match length {
            Length::Single => lent.look_up(work),
            Length::Short => lent.read(work),
            Length::Long => tokio::task::spawn_blocking(move || lent.read(work)).await.map_err(|_| closed())?,
        }
    }

    /// Read a list that may walk over an account, on a thread that may block. It ends early when this is dropped, or when
    /// it takes too long; its place is taken until it has ended.
    pub(super) async fn walk<T: Send + 'static>(
        self: &Arc<Self>,
        permit: Permit,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let mut lent = self.lend().await?;
        let end = lent.reader()?.interrupt.end_on_drop();
        let mut reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            lent.read(work)
        });
        if let Ok(read) = timeout(LONGEST_LIST, &mut reading).await {
            return read.map_err(|_| closed())?;
        }
        drop(end);
        Err(too_long())
    }

    async fn lend(self: &Arc<Self>) -> Result<Lent, StorageError> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| closed())?;
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = taken.ok_or_else(closed)?;
        reader.interrupt.begin();
        Ok(Lent { reader: Some(reader), pool: Arc::clone(self), _permit: permit })
    }
}

fn closed() -> StorageError {
    StorageError::Unavailable("the readers have stopped".to_owned())
}

/// A connection that goes back to the pool, whatever happens to the read.
struct Lent {
    reader: Option<Reader>,
    pool: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Lent {
    fn look_up<T>(
        &mut self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>>,
    ) -> Result<T, StorageError> {
        let conn = &mut self.reader()?.conn;
        Ok(at_once(work(conn))?)
    }

    fn read<T>(
        &mut self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>>,
    ) -> Result<T, StorageError> {
        let conn = &mut self.reader()?.conn;
        conn.begin().map_err(TxError::from)?;
        let outcome = at_once(work(conn));
        conn.roll_back().map_err(TxError::from)?;
        Ok(outcome?)
    }

    fn reader(&mut self) -> Result<&mut Reader, StorageError> {
        self.reader.as_mut().ok_or_else(|| StorageError::Unavailable("the connection was given back".to_owned()))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.reader.take());
    }
}
