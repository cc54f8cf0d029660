//! The storage on SQLite: each method of the traits is one step of the writer or one read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use pinrail_domain::{NewPinRequest, PinRequest, ServiceId};
use pinrail_spec::Timestamp;
use pinrail_storage::{Storage, StorageError};

use super::connection::{open_reader, open_watcher, open_writer, wrap};
use super::open::{check_schema, failed, told};
use super::reader::{Length, Readers};
use super::revision::Revisions;
use super::writer::{Work, Writer};
use super::{Conn, OpenError, SqliteOptions, check, clock, service};
use crate::Difference;
use crate::error::Step;

/// How often an absent schema is looked for.
const LOOK_FOR_SCHEMA: Duration = Duration::from_millis(200);

/// Pinrail's storage in one SQLite file, which several processes may share.
pub struct SqliteStorage {
    writer: Writer,
    readers: Arc<Readers>,
    revisions: Revisions,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    actor: Arc<str>,
    /// The change that [`Self::await_change`] answered last.
    told: AtomicU64,
}

impl SqliteStorage {
    /// Open the database at `path`, whose schema has to be this version's. `clock` is the system's.
    pub async fn open(
        path: &Path,
        options: SqliteOptions,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<Self, OpenError> {
        wait_for_schema(path, options.wait_for_schema).await?;
        let connect_error = |error: diesel::ConnectionError| told(path, &error.to_string());
        let wrap = |connection| wrap(connection, options.time);
        let conn = wrap(open_writer(path).map_err(connect_error)?);
        let readers = (0..options.readers.max(1)).map(|_| open_reader(path).map(wrap));
        let readers = readers.collect::<Result<Vec<_>, _>>().map_err(connect_error)?;
        let watcher = open_watcher(path).map(wrap).map_err(connect_error)?;
        let writer = Writer::start(conn, path, options.commit_interval, Arc::clone(&clock));
        Ok(Self {
            writer: writer.map_err(|error| failed(path, error))?,
            readers: Arc::new(Readers::new(readers)),
            revisions: Revisions::watch(watcher),
            clock,
            actor: options.actor.into(),
            told: AtomicU64::new(0),
        })
    }

    /// Who its steps are noted to be of in the audit log.
    pub(super) fn actor(&self) -> Arc<str> {
        Arc::clone(&self.actor)
    }

    /// Compare every counter with what it counts; the differences, none in a database that is whole. Reads all of it.
    pub async fn check_counters(&self) -> Result<Vec<Difference>, StorageError> {
        self.read_long(|conn| Box::pin(check::check_counters(conn))).await
    }

    /// A step that writes.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        now: Option<Timestamp>,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let work: Work<T> = Box::new(work);
        self.writer.write(now, false, work).await
    }

    /// A step that writes, after which workers may have something to do.
    pub(super) async fn write_for_workers<T: Send + 'static>(
        &self,
        now: Timestamp,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let work: Work<T> = Box::new(work);
        self.writer.write(Some(now), true, work).await
    }

    /// Add a pin request, with whatever else is being added.
    pub(super) async fn add(&self, request: NewPinRequest, now: Timestamp) -> Result<PinRequest, StorageError> {
        self.writer.add(request, now).await
    }

    /// A read of microseconds, in a single statement.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.readers.read(Length::Single, work).await
    }

    /// A read of microseconds.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.readers.read(Length::Short, work).await
    }

    /// A read that may walk over an account.
    pub(super) async fn read_long<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.readers.read(Length::Long, work).await
    }

    /// Wait for a change that may concern workers and that no earlier call has answered.
    pub(super) async fn await_change(&self) -> Result<(), StorageError> {
        let mut changes = self.writer.changes();
        let begun_at = *changes.borrow_and_update();
        loop {
            let latest = *changes.borrow_and_update();
            if self.tell(latest) || latest != begun_at {
                return Ok(());
            }
            changes.changed().await.map_err(|_| StorageError::Unavailable("the writer has stopped".to_owned()))?;
        }
    }

    /// Note that a change is answered; whether it was not yet.
    fn tell(&self, latest: u64) -> bool {
        self.told.fetch_max(latest, Ordering::Relaxed) < latest
    }
}

async fn wait_for_schema(path: &Path, wait: Duration) -> Result<(), OpenError> {
    let mut waited = Duration::ZERO;
    loop {
        match check_schema(path) {
            Err(OpenError::Pending { .. }) if waited < wait => {
                tokio::time::sleep(LOOK_FOR_SCHEMA).await;
                waited += LOOK_FOR_SCHEMA;
            }
            other => return other,
        }
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn now(&self) -> Result<Timestamp, StorageError> {
        let greatest = self.read(|conn| Box::pin(clock::clock(conn))).await?;
        Ok(greatest.max((self.clock)()))
    }

    async fn service_id(&self) -> Result<ServiceId, StorageError> {
        self.read(|conn| Box::pin(service::service_id(conn))).await
    }

    fn revision(&self) -> Option<u64> {
        self.revisions.latest()
    }

    async fn ready(&self) -> Result<(), StorageError> {
        self.read(|conn| Box::pin(clock::clock(conn))).await?;
        self.write(None, |conn| Box::pin(service::touch(conn))).await
    }
}
