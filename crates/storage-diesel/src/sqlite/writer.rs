//! The one writer: a thread that takes waiting steps together and commits them at once.
//!
//! A commit costs a sync of the disk, a step costs microseconds, so whatever waits goes into one transaction. The pin
//! requests among it are added in one go, since they share most of what they read and count; every other step is a
//! savepoint of its own, so that one that fails is undone alone. Processes take turns by a pair of lock files, not by
//! asking SQLite again and again until it is free.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use pinrail_domain::{NewPinRequest, PinRequest};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;
use tokio::sync::{oneshot, watch};

use super::batch_queue::BatchQueue;
use super::connection::at_once;
use super::open::cannot_lock;
use super::queries::pin_requests;
use super::{Conn, clock};
use crate::error::TxResult;

/// Steps that go into one commit at most: what waits longest should not wait for thousands.
const GROUPED_AT_MOST: usize = 512;
/// How often the writer looks whether another process has committed.
const LOOK_FOR_OTHERS: Duration = Duration::from_millis(50);
/// The longest that a commit waits for those whom the last one has just answered.
const PATIENCE_AT_MOST: Duration = Duration::from_millis(1);

/// A step on the writer's connection.
pub(super) type Work<T> = Box<dyn for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Send>;

/// Where the outcome of a step goes, once its transaction is committed or not.
struct Reply<T> {
    outcome: Option<Result<T, StorageError>>,
    waiting: oneshot::Sender<Result<T, StorageError>>,
}

impl<T> Reply<T> {
    const fn to(waiting: oneshot::Sender<Result<T, StorageError>>) -> Self {
        Self { outcome: None, waiting }
    }

    const fn is_done(&self) -> bool {
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self, committed: Result<(), StorageError>) {
        let outcome = match (committed, self.outcome) {
            (Err(error), None | Some(Ok(_))) => Err(error),
            (_, Some(outcome)) => outcome,
            (Ok(()), None) => Err(StorageError::Unavailable("the step was not done".to_owned())),
        };
        // Nobody waits any more when the caller was cancelled; the step is done all the same.
        drop(self.waiting.send(outcome));
    }
}

/// A pin request to be added.
struct Add {
    request: NewPinRequest,
    now: Timestamp,
    reply: Reply<PinRequest>,
}

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
    reply: Reply<T>,
}

impl<T: Send> Job for Item<T> {
    fn now(&self) -> Option<Timestamp> {
        self.now
    }

    fn concerns_workers(&self) -> bool {
        self.concerns_workers && self.reply.is_done()
    }

    fn run(&mut self, conn: &mut Conn) -> bool {
        let Some(work) = self.work.take() else { return false };
        self.reply.outcome = Some(at_once(work(conn)).map_err(StorageError::from));
        self.reply.is_done()
    }

    fn answer(self: Box<Self>, committed: Result<(), StorageError>) {
        self.reply.answer(committed);
    }
}

/// What waits for the writer.
enum Waiting {
    Add(Box<Add>),
    Step(Box<dyn Job>),
}

/// What is committed together.
struct Group {
    adds: Vec<Add>,
    steps: Vec<Box<dyn Job>>,
}

impl Group {
    fn of(waiting: Vec<Waiting>) -> Self {
        let mut group = Self { adds: Vec::with_capacity(waiting.len()), steps: Vec::new() };
        for one in waiting {
            match one {
                Waiting::Add(add) => group.adds.push(*add),
                Waiting::Step(step) => group.steps.push(step),
            }
        }
        group
    }

    /// The greatest time that its steps write.
    fn now(&self) -> Option<Timestamp> {
        let adds = self.adds.iter().map(|add| add.now);
        adds.chain(self.steps.iter().filter_map(|step| step.now())).max()
    }

    fn concerns_workers(&self) -> bool {
        self.adds.iter().any(|add| add.reply.is_done()) || self.steps.iter().any(|step| step.concerns_workers())
    }

    fn answer(self, committed: &Result<(), StorageError>) {
        for add in self.adds {
            add.reply.answer(committed.clone());
        }
        for step in self.steps {
            step.answer(committed.clone());
        }
    }
}

/// What the steps of a storage are handed to.
pub(super) struct Writer {
    queue: Arc<BatchQueue<Waiting>>,
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
        let queue = Arc::new(BatchQueue::new());
        let (announce, changed) = watch::channel(0);
        let mut thread = WriterThread {
            conn,
            locks,
            queue: Closing(Arc::clone(&queue)),
            commit_interval,
            clock,
            announce,
            seen: None,
        };
        std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || thread.run())?;
        Ok(Self { queue, changed })
    }

    /// Do a step in the next commit, and answer when that is on the disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        now: Option<Timestamp>,
        concerns_workers: bool,
        work: Work<T>,
    ) -> Result<T, StorageError> {
        let (waiting, answer) = oneshot::channel();
        let item = Item { now, concerns_workers, work: Some(work), reply: Reply::to(waiting) };
        self.wait(Waiting::Step(Box::new(item)), answer).await
    }

    /// Add a pin request in the next commit, and answer when that is on the disk.
    pub(super) async fn add(&self, request: NewPinRequest, now: Timestamp) -> Result<PinRequest, StorageError> {
        let (waiting, answer) = oneshot::channel();
        let add = Add { request, now, reply: Reply::to(waiting) };
        self.wait(Waiting::Add(Box::new(add)), answer).await
    }

    async fn wait<T>(
        &self,
        waiting: Waiting,
        answer: oneshot::Receiver<Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let stopped = || StorageError::Unavailable("the writer has stopped".to_owned());
        self.queue.put(waiting).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Take no more steps, and wait until those that wait are done and the thread has ended.
    pub(super) async fn close(&self) {
        self.queue.close();
        let mut changes = self.changed.clone();
        // The thread drops its end when it ends, after its connection.
        while changes.changed().await.is_ok() {}
    }

    /// What counts up with each change that may concern workers, of this process or another.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The thread's end of the queue: nobody is to wait for a thread that has ended, by a panic too.
struct Closing(Arc<BatchQueue<Waiting>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.take(0, Duration::ZERO, Duration::ZERO, usize::MAX));
    }
}

/// The turns of the processes that write.
///
/// Whoever wants to write locks `turn` and then `write`, and lets go of `turn`. With `write` alone a busy process
/// would lock it again before another that waits has woken up; so it has to queue behind it.
struct Locks {
    database: PathBuf,
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
        Ok(Self { database: path.to_owned(), turn: file(".turn")?, write: file(".lock")? })
    }

    fn lock(&self) -> Result<(), StorageError> {
        let lock = || {
            self.turn.lock()?;
            let locked = self.write.lock();
            self.turn.unlock()?;
            locked
        };
        lock().map_err(|error| StorageError::Unavailable(cannot_lock(&self.database, &error)))
    }

    fn unlock(&self) -> Result<(), StorageError> {
        self.write.unlock().map_err(|error| StorageError::Unavailable(cannot_lock(&self.database, &error)))
    }
}

struct WriterThread {
    conn: Conn,
    locks: Locks,
    queue: Closing,
    commit_interval: Duration,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    announce: watch::Sender<u64>,
    /// The version of the database after our last look: it moves when another connection commits.
    seen: Option<i64>,
}

impl WriterThread {
    fn run(&mut self) {
        let (mut expected, mut patience) = (1, Duration::ZERO);
        while let Some(waiting) = self.queue.0.take(expected, patience, LOOK_FOR_OTHERS, GROUPED_AT_MOST) {
            if !waiting.is_empty() {
                expected = waiting.len();
                patience = self.commit(Group::of(waiting)) / 2;
            }
            self.look_for_others();
            if !self.commit_interval.is_zero() {
                // What comes meanwhile goes into the next commit.
                std::thread::sleep(self.commit_interval);
            }
        }
    }

    /// Do a group of steps in one transaction, and answer each; how long that took.
    ///
    /// Those who are answered mostly come back at once. A commit that does not wait for them carries the first one
    /// alone, and all the others have to sit through two syncs; so the next one waits up to half of what this took.
    #[expect(clippy::disallowed_methods, reason = "how long a sync of this disk takes is found out by a stopwatch")]
    fn commit(&mut self, mut group: Group) -> Duration {
        let begun = Instant::now();
        let committed = self.locks.lock().and_then(|()| {
            let committed = transact(&mut self.conn, &mut group, (self.clock)()).map_err(StorageError::from);
            let unlocked = self.locks.unlock();
            committed.map_err(|error| blame_disk(error, &self.locks.database)).and(unlocked)
        });
        if committed.is_ok() && group.concerns_workers() {
            self.announce.send_modify(|changes| *changes += 1);
        }
        group.answer(&committed);
        begun.elapsed().min(PATIENCE_AT_MOST * 2)
    }

    fn look_for_others(&mut self) {
        let version = self.conn.data_version().ok();
        if version.is_some() && version != self.seen {
            if self.seen.is_some() {
                self.announce.send_modify(|changes| *changes += 1);
            }
            self.seen = version;
        }
    }
}

/// The database is named where it is the disk that failed, a sync above all: what helps is to look at that disk.
fn blame_disk(error: StorageError, database: &Path) -> StorageError {
    match error {
        StorageError::Unavailable(why) if why.contains("disk I/O error") => StorageError::Unavailable(format!(
            "the disk under {} failed ({why}), wanted one that writes and syncs: the system's log says more",
            database.display()
        )),
        other => other,
    }
}

/// Do all steps of a group in one transaction.
///
/// The pin requests come first, together and with no savepoint, for which SQLite would keep a copy of each page that
/// they change. If that fails all of it is undone, and each of them is tried again by itself.
fn transact(conn: &mut Conn, group: &mut Group, now: Timestamp) -> TxResult<()> {
    conn.begin_immediate()?;
    let changes = conn.total_changes()?;
    if add_together(conn, &mut group.adds).is_err() {
        conn.roll_back()?;
        conn.begin_immediate()?;
        if let Err(error) = add_each(conn, &mut group.adds) {
            conn.roll_back()?;
            return Err(error);
        }
    }
    match run_steps(conn, group, changes, now) {
        Ok(()) => Ok(conn.commit()?),
        Err(error) => {
            conn.roll_back()?;
            Err(error)
        }
    }
}

fn add_together(conn: &mut Conn, adds: &mut [Add]) -> TxResult<()> {
    if adds.is_empty() {
        return Ok(());
    }
    let wanted: Vec<_> = adds.iter().map(|add| (&add.request, add.now)).collect();
    let added = at_once(pin_requests::add_pin_requests(conn, &wanted))?;
    for (add, outcome) in adds.iter_mut().zip(added) {
        add.reply.outcome = Some(outcome);
    }
    Ok(())
}

fn add_each(conn: &mut Conn, adds: &mut [Add]) -> TxResult<()> {
    for add in adds {
        conn.begin()?;
        let added = at_once(pin_requests::add_pin_request(conn, &add.request, add.now));
        if added.is_ok() {
            conn.commit()?;
        } else {
            conn.roll_back()?;
        }
        add.reply.outcome = Some(added.map_err(StorageError::from));
    }
    Ok(())
}

/// The time is noted only along with what was written at it, so that somebody who asks and changes nothing writes
/// nothing either: nothing that is stored is then of a later time than the clock shows.
fn run_steps(conn: &mut Conn, group: &mut Group, changes: i64, now: Timestamp) -> TxResult<()> {
    for step in &mut group.steps {
        conn.begin()?;
        if step.run(conn) { conn.commit()? } else { conn.roll_back()? }
    }
    if conn.total_changes()? == changes {
        return Ok(());
    }
    let latest = group.now().into_iter().chain(conn.reached()).fold(now, Timestamp::max);
    at_once(clock::advance_clock(conn, latest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_named() {
        let told = |why: &str| {
            blame_disk(StorageError::Unavailable(why.to_owned()), Path::new("/data/pinrail.db")).to_string()
        };
        let failed = told("disk I/O error");
        assert!(failed.contains("/data/pinrail.db") && failed.contains("disk I/O error"), "{failed}");
        assert!(!told("database is locked").contains("/data/pinrail.db"));
    }
}
