//! The storage on SQLite: each method of the traits is one step of the writer or one read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use pinrail_domain::{AccountId, NewPinRequest, PinRequest, ServiceId};
use pinrail_spec::Timestamp;
use pinrail_storage::{ListUse, Statistics, Storage, StorageError};

use super::connection::{open_watcher, open_writer, wrap};
use super::open::{check_schema, failed, told};
use super::pace::Pace;
use super::queries::{check, clock_repair, service, statistics};
use super::reader::{Length, Reader, Readers};
use super::revision::Revisions;
use super::writer::{Work, Writer};
use super::{Conn, OpenError, SqliteOptions, clock};
use crate::CounterMismatch;
use crate::clock_repair::problem_of;
use crate::error::TxResult;
use crate::room::Room;

/// Connections that read what is no list, so that it never waits for one.
const LOOK_UPS: usize = 2;

/// How far a database's time may be ahead of the machine's clock that checks it.
const AHEAD: Duration = Duration::from_mins(1);

/// How often an absent schema is looked for.
const LOOK_FOR_SCHEMA: Duration = Duration::from_millis(200);

/// Pinrail's storage in one SQLite file, which several processes may share.
pub struct SqliteStorage {
    writer: Writer,
    /// For everything but lists.
    readers: Arc<Readers>,
    list_readers: Arc<Readers>,
    lists: Room,
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
        let pace = Arc::new(Pace::new(Arc::clone(&clock)));
        let wrap = |connection| wrap(connection, options.time).paced(&pace);
        let conn = wrap(open_writer(path).map_err(connect_error)?);
        let open_readers = |many: usize| {
            let opened = (0..many).map(|_| Reader::open(path, options.time, &pace)).collect::<Result<Vec<_>, _>>();
            opened.map(Readers::new).map_err(connect_error)
        };
        let for_lists = options.readers.max(1);
        let watcher = open_watcher(path).map(wrap).map_err(connect_error)?;
        let writer = Writer::start(conn, path, options.commit_interval, Arc::clone(&clock));
        let storage = Self {
            writer: writer.map_err(|error| failed(path, error))?,
            readers: open_readers(LOOK_UPS)?,
            list_readers: open_readers(for_lists)?,
            lists: Room::for_lists(for_lists),
            revisions: Revisions::watch(watcher),
            clock,
            actor: options.actor.into(),
            told: AtomicU64::new(0),
        };
        // Where the machine's clock is behind, this says so.
        storage.now().await.map_err(|error| failed(path, error))?;
        Ok(storage)
    }

    /// Who its steps are noted to be of in the audit log.
    pub(super) fn actor(&self) -> Arc<str> {
        Arc::clone(&self.actor)
    }

    /// Compare every counter with what it counts; the differences, none in a database that is whole. Reads all of it.
    pub async fn check_counters(&self) -> Result<Vec<CounterMismatch>, StorageError> {
        self.list_readers.read(Length::Long, |conn| Box::pin(check::check_counters(conn))).await
    }

    /// What has to be mended by a command; `system_time` is the machine's.
    pub async fn problems(&self, system_time: Timestamp) -> Result<Vec<String>, StorageError> {
        let (stored, mut found) = self
            .list_readers
            .read(Length::Long, move |conn| {
                Box::pin(async move { Ok((clock::clock(conn).await?, clock_repair::find(conn, system_time).await?)) })
            })
            .await?;
        if stored.since(system_time) > AHEAD {
            found.insert(0, format!("the database has reached {stored}"));
        }
        let now = format!("this machine's clock shows {system_time}");
        Ok(problem_of(&found, &now).into_iter().collect())
    }

    /// A step that writes.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        now: Option<Timestamp>,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let work: Work<T> = Box::new(work);
        self.writer.write(now, false, work).await
    }

    /// A step that writes, after which workers may have something to do.
    pub(super) async fn write_for_workers<T: Send + 'static>(
        &self,
        now: Timestamp,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let work: Work<T> = Box::new(work);
        self.writer.write(Some(now), true, work).await
    }

    /// A step that changes what an account holds, after which workers may have something to do.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        _account: AccountId,
        now: Timestamp,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.write_for_workers(now, work).await
    }

    /// Add a pin request, with whatever else is being added.
    pub(super) async fn add(&self, request: NewPinRequest, now: Timestamp) -> Result<PinRequest, StorageError> {
        self.writer.add(request, now).await
    }

    /// A read of microseconds, in a single statement.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.readers.read(Length::Single, work).await
    }

    /// A read of microseconds.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.readers.read(Length::Short, work).await
    }

    /// A list of an account, which may `walk` over all of it.
    pub(super) async fn list<T: Send + 'static>(
        &self,
        account: AccountId,
        walks: bool,
        work: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let permit = self.lists.enter(account).await?;
        if walks {
            self.list_readers.walk(permit, work).await
        } else {
            self.list_readers.read(Length::Short, work).await
        }
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
        let greatest = self.read(|conn| Box::pin(clock::now(conn))).await?;
        Ok(greatest.max((self.clock)()))
    }

    async fn service_id(&self) -> Result<ServiceId, StorageError> {
        self.read(|conn| Box::pin(service::service_id(conn))).await
    }

    fn revision(&self) -> Option<u64> {
        self.revisions.latest()
    }

    fn list_use(&self) -> ListUse {
        self.lists.in_use()
    }

    async fn statistics(&self, now: Timestamp) -> Result<Statistics, StorageError> {
        self.readers.read(Length::Long, move |conn| Box::pin(statistics::statistics(conn, now))).await
    }

    async fn ready(&self) -> Result<(), StorageError> {
        self.read(|conn| Box::pin(clock::clock(conn))).await?;
        self.write(None, |conn| Box::pin(service::touch(conn))).await
    }

    async fn close(&self) {
        self.writer.close().await;
    }
}
