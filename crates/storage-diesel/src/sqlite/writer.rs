//! The one writer: a thread that takes waiting steps together and commits them at once.
//!
//! A commit costs a sync of the disk, a step costs microseconds, so whatever waits goes into one transaction. Each
//! step is a savepoint of its own: one that fails is undone alone. Processes take turns by a pair of lock files, not
//! by asking SQLite again and again until it is free.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::result::Error;
use diesel_async::RunQueryDsl;
use futures::future::BoxFuture;
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;
use tokio::sync::{oneshot, watch};

use super::connection::at_once;
use super::{Conn, service};
use crate::error::Step;

/// Steps that go into one commit at most: what waits longest should not wait for thousands.
const GROUPED_AT_MOST: usize = 512;
/// How often the writer looks whether another process has committed.
const LOOK_FOR_OTHERS: Duration = Duration::from_millis(50);

/// A step on the writer's connection.
pub(super) type Work<T> = Box<dyn for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Send>;

/// A step that waits for the writer.
trait Job: Send {
    /// The time that it writes, if it does.
    fn now(&self) -> Option<Timestamp>;
    /// Whether workers may have something to do after it.
    fn concerns_workers(&self) -> bool;
    /// Do it inside a savepoint; whether it is to be kept.
    fn run(&mut self, conn: &mut Conn) -> bool;
    /// Answer, now that its transaction is committed or not.
    fn answer(self: Box<Self>, committed: Result<(), StorageError>);
}

struct Item<T> {
    now: Option<Timestamp>,
    concerns_workers: bool,
    work: Option<Work<T>>,
    outcome: Option<Result<T, StorageError>>,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

impl<T: Send> Job for Item<T> {
    fn now(&self) -> Option<Timestamp> {
        self.now
    }

    fn concerns_workers(&self) -> bool {
        self.concerns_workers && matches!(self.outcome, Some(Ok(_)))
    }

    fn run(&mut self, conn: &mut Conn) -> bool {
        let Some(work) = self.work.take() else { return false };
        let outcome = at_once(work(conn)).map_err(StorageError::from);
        let is_kept = outcome.is_ok();
        self.outcome = Some(outcome);
        is_kept
    }

    fn answer(self: Box<Self>, committed: Result<(), StorageError>) {
        let outcome = match (committed, self.outcome) {
            (Err(error), None | Some(Ok(_))) => Err(error),
            (_, Some(outcome)) => outcome,
            (Ok(()), None) => Err(StorageError::Unavailable("the step was not done".to_owned())),
        };
        // Nobody waits any more when the caller was cancelled; the step is done all the same.
        drop(self.reply.send(outcome));
    }
}

/// What the steps of a storage are handed to.
pub(super) struct Writer {
    jobs: Mutex<Option<Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    changed: watch::Receiver<u64>,
}

impl Writer {
    /// Start the thread on a connection that may write. At most one commit is made in `commit_interval`.
    pub(super) fn start(
        conn: Conn,
        path: &Path,
        commit_interval: Duration,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> std::io::Result<Self> {
        let locks = Locks::open(path)?;
        let (jobs, queue) = channel();
        let (announce, changed) = watch::channel(0);
        let mut thread = WriterThread { conn, locks, queue, commit_interval, clock, announce, seen: None };
        let thread = std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || thread.run())?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)), changed })
    }

    /// Do a step in the next commit, and answer when that is on the disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        now: Option<Timestamp>,
        concerns_workers: bool,
        work: Work<T>,
    ) -> Result<T, StorageError> {
        let (reply, answer) = oneshot::channel();
        let item = Item { now, concerns_workers, work: Some(work), outcome: None, reply };
        let stopped = || StorageError::Unavailable("the writer has stopped".to_owned());
        match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(Box::new(item)).map_err(|_| stopped())?,
            None => return Err(stopped()),
        }
        answer.await.map_err(|_| stopped())?
    }

    /// What counts up with each change that may concern workers, of this process or another.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread has been told to whoever waited for it.
            drop(thread.join());
        }
    }
}

/// The turns of the processes that write.
///
/// Whoever wants to write locks `turn` and then `write`, and lets go of `turn`. With `write` alone a busy process
/// would lock it again before another that waits has woken up; so it has to queue behind it.
struct Locks {
    turn: File,
    write: File,
}

impl Locks {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            File::options().create(true).truncate(false).write(true).open(PathBuf::from(name))
        };
        Ok(Self { turn: file(".turn")?, write: file(".lock")? })
    }

    fn lock(&self) -> std::io::Result<()> {
        self.turn.lock()?;
        let locked = self.write.lock();
        self.turn.unlock()?;
        locked
    }

    fn unlock(&self) -> std::io::Result<()> {
        self.write.unlock()
    }
}

struct WriterThread {
    conn: Conn,
    locks: Locks,
    queue: Receiver<Box<dyn Job>>,
    commit_interval: Duration,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    announce: watch::Sender<u64>,
    /// The version of the database after our last look: it moves when another connection commits.
    seen: Option<i64>,
}

impl WriterThread {
    fn run(&mut self) {
        loop {
            let first = match self.queue.recv_timeout(LOOK_FOR_OTHERS) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.look_for_others();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut group = vec![first];
            group.extend(self.queue.try_iter().take(GROUPED_AT_MOST - 1));
            self.commit(group);
            self.look_for_others();
            // What comes meanwhile goes into the next commit.
            std::thread::sleep(self.commit_interval);
        }
    }

    /// Do a group of steps in one transaction, and answer each.
    fn commit(&mut self, mut group: Vec<Box<dyn Job>>) {
        let committed =
            self.locks.lock().map_err(|error| StorageError::Unavailable(error.to_string())).and_then(|()| {
                let committed = transact(&mut self.conn, &mut group, (self.clock)());
                let unlocked = self.locks.unlock().map_err(|error| StorageError::Unavailable(error.to_string()));
                committed.map_err(StorageError::from).and(unlocked)
            });
        if committed.is_ok() && group.iter().any(|job| job.concerns_workers()) {
            self.announce.send_modify(|changes| *changes += 1);
        }
        for job in group {
            job.answer(committed.clone());
        }
    }

    fn look_for_others(&mut self) {
        let version = at_once(data_version(&mut self.conn)).ok();
        if version.is_some() && version != self.seen {
            if self.seen.is_some() {
                self.announce.send_modify(|changes| *changes += 1);
            }
            self.seen = version;
        }
    }
}

#[derive(diesel::QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    data_version: i64,
}

async fn data_version(conn: &mut Conn) -> Result<i64, Error> {
    let row: DataVersion = diesel::sql_query("PRAGMA data_version").get_result(conn).await?;
    Ok(row.data_version)
}

/// Do all steps of a group in one transaction.
fn transact(conn: &mut Conn, group: &mut [Box<dyn Job>], now: Timestamp) -> Step<()> {
    conn.begin_immediate()?;
    match run_all(conn, group, now) {
        Ok(()) => Ok(conn.commit()?),
        Err(error) => {
            conn.roll_back()?;
            Err(error)
        }
    }
}

fn run_all(conn: &mut Conn, group: &mut [Box<dyn Job>], now: Timestamp) -> Step<()> {
    for job in group.iter_mut() {
        conn.begin()?;
        if job.run(conn) { conn.commit()? } else { conn.roll_back()? }
    }
    let latest = group.iter().filter_map(|job| job.now()).fold(now, Timestamp::max);
    at_once(service::advance_clock(conn, latest))
}
