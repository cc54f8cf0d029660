//! The pool of connections, and how a step runs on one of them: in one transaction, tried again when it collided.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Hook, Manager, ManagerConfig, Pool as Connections, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use diesel::result::Error;
use diesel_async::SimpleAsyncConnection;
use futures::FutureExt;
use futures::future::BoxFuture;
use pinrail_storage::StorageError;
use tokio::runtime::Handle;
use tokio_postgres::CancelToken;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Conn;
use super::connection::Opening;
use super::errors::{chain, is_collision, is_gone};
use super::open::Place;
use crate::TimeSource;
use crate::error::{Failed, Step};

/// How long a step waits for a free connection.
const WAIT: Duration = Duration::from_secs(5);
/// How long a step may take with its tries, unless it goes through everything; the server's own limits end most of
/// what takes long before.
const LONGEST: Duration = Duration::from_secs(90);
/// How often a step is tried when it collides with others.
const TRIES: u32 = 8;
/// How long to wait before a second try at most; twice that before a third, and so on.
const PAUSE: Duration = Duration::from_millis(4);

/// How long a connection keeps the plans of its statements. They fit the tables as large as these were: where all rows
/// are few, to go through all of them is as good as any plan.
const PLANS_KEPT: Duration = Duration::from_secs(10);

/// What a step does with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It reads, all from one snapshot.
    Read,
    /// It reads by what a client looks for: each statement is planned for what that is, how common it is and how much
    /// the account holds. A plan that fits all of them fits none.
    Search,
    /// It reads everything, all from one snapshot: a little with each statement, and for as long as that takes.
    Everything,
    /// It reads with a single statement, which needs no transaction.
    LookUp,
    /// It writes. It finds rows by their keys alone, so no plan depends on what they are.
    Write,
}

impl Access {
    const fn begin(self) -> Option<Opening> {
        let command = match self {
            Self::Read => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = auto; \
                SET LOCAL statement_timeout = '10s'"
            }
            Self::Search => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan; \
                SET LOCAL statement_timeout = '10s'; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on"
            }
            Self::Everything => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan; \
                SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; \
                SET LOCAL enable_seqscan = on; SET LOCAL idle_in_transaction_session_timeout = 0"
            }
            Self::LookUp => return None,
            Self::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        };
        Some(Opening { command, only_reads: !matches!(self, Self::Write) })
    }
}

/// Connections to one database.
pub(super) struct Pool {
    connections: Connections,
    tls: MakeRustlsConnect,
    time: TimeSource,
}

impl Pool {
    /// A pool that connects when it is first asked to, `size` times at once at most.
    pub(super) fn new(place: &Place, size: usize, time: TimeSource) -> Result<Self, String> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(place.address.config.clone(), place.tls.clone(), recycling);
        let pool = Connections::builder(manager).max_size(size.max(1)).runtime(Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(WAIT)).create_timeout(Some(2 * WAIT)).recycle_timeout(Some(WAIT));
        let pool = pool.pre_recycle(forget_plans());
        let connections = pool.build().map_err(|error| error.to_string())?;
        Ok(Self { connections, tls: place.tls.clone(), time })
    }

    /// Lend a connection for as long as whoever asks for it likes.
    pub(super) async fn lend(&self) -> Result<Conn, String> {
        Ok(Conn::new(self.connections.get().await.map_err(|error| no_connection(&error))?, self.time))
    }

    /// Do a step in one transaction. It is done again, from the beginning, when it collided with another or when its
    /// connection turned out to be gone before anything was to be committed.
    pub(super) async fn run<T>(
        &self,
        access: Access,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Clone,
    ) -> Result<T, StorageError> {
        let tries = async {
            let mut tried = 0;
            loop {
                tried += 1;
                let failed = match self.try_once(access, step.clone()).await {
                    Ok(outcome) => return Ok(outcome),
                    Err(failed) => failed,
                };
                let is_worth_it = match &failed {
                    Outcome::Undone(Failed::Database(error)) => is_collision(error) || is_gone(error),
                    Outcome::Undone(Failed::Refused(_)) | Outcome::NoConnection(_) | Outcome::Unknown(_) => false,
                };
                if !is_worth_it || tried == TRIES {
                    return Err(failed.into());
                }
                tokio::time::sleep(pause(tried)).await;
            }
        };
        if access == Access::Everything {
            return tries.await;
        }
        let late = || StorageError::Unavailable(format!("a step took longer than {} s", LONGEST.as_secs()));
        tokio::time::timeout(LONGEST, tries).await.map_err(|_| late())?
    }

    async fn try_once<T>(
        &self,
        access: Access,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Step<T>> + Clone,
    ) -> Result<T, Outcome> {
        let client = self.connections.get().await.map_err(|error| Outcome::NoConnection(no_connection(&error)))?;
        let conn = Conn::new(client, self.time);
        let only_reads = access == Access::LookUp || access.begin().is_some_and(|begin| begin.only_reads);
        let cancel = only_reads.then(|| (conn.cancel_token(), self.tls.clone()));
        let mut lent = Lent { conn: Some(conn), is_clean: false, cancel };
        let conn = lent.conn.as_mut().expect("it is taken when it is dropped");
        let Some(begin) = access.begin() else {
            let outcome = step(conn).await;
            lent.is_clean = outcome.is_ok();
            return outcome.map_err(Outcome::Undone);
        };
        conn.begin(begin);
        let outcome = match step(conn).await {
            Ok(outcome) if begin.only_reads => {
                conn.end_reading();
                Ok(outcome)
            }
            // What is still to be written goes with it. If the server refuses that, it keeps nothing.
            Ok(outcome) => conn.batch_execute("COMMIT").await.map(|()| outcome).map_err(after_commit),
            Err(failed) => Err(Outcome::Undone(failed)),
        };
        lent.is_clean = match &outcome {
            Ok(_) => true,
            Err(Outcome::Undone(Failed::Database(error))) if is_gone(error) => false,
            Err(Outcome::Undone(_)) => conn.undo("ROLLBACK").await.is_ok(),
            Err(Outcome::NoConnection(_) | Outcome::Unknown(_)) => false,
        };
        outcome
    }
}

/// Has the server make its plans anew for the first who is lent a connection in each period of [`PLANS_KEPT`].
fn forget_plans() -> Hook {
    let period = |age: Duration| age.as_secs() / PLANS_KEPT.as_secs();
    Hook::sync_fn(move |client, metrics| {
        let age = metrics.age();
        if period(age.saturating_sub(metrics.last_used())) != period(age) {
            // It is sent when it is first polled, and whatever is asked next comes behind it.
            drop(client.batch_execute("DISCARD PLANS").now_or_never());
        }
        Ok(())
    })
}

/// Why one try did not do a step.
enum Outcome {
    /// There was no connection to do it on.
    NoConnection(String),
    /// Nothing of it is kept.
    Undone(Failed),
    /// The connection broke while it was being committed.
    Unknown(Error),
}

impl From<Outcome> for StorageError {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::NoConnection(why) => Self::Unavailable(why),
            Outcome::Undone(failed) => failed.into(),
            Outcome::Unknown(error) => {
                Self::Unavailable(format!("the connection broke, and with it the answer to a commit: {error}"))
            }
        }
    }
}

/// What it means that a commit failed: the server's own word says that nothing is kept, silence says nothing.
fn after_commit(error: Error) -> Outcome {
    if is_gone(&error) { Outcome::Unknown(error) } else { Outcome::Undone(error.into()) }
}

fn no_connection(error: &PoolError) -> String {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => {
            "all of the pool's connections are in use: too little time, or too few of them (--database-connections)"
                .to_owned()
        }
        PoolError::Timeout(_) => "PostgreSQL does not answer".to_owned(),
        PoolError::Backend(error) => chain(error),
        other => other.to_string(),
    }
}

/// A pause before another try, longer after each, and another one for each that waits: those that collided once
/// should not collide again.
fn pause(tried: u32) -> Duration {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id());
    let share = turn.wrapping_mul(0x9E37_79B9) >> 24;
    (PAUSE * 2_u32.pow(tried.min(TRIES))) * share / 256
}

/// A connection that goes back to the pool if a transaction has ended on it, and is closed if a step was given up in
/// the middle of one.
struct Lent {
    conn: Option<Conn>,
    is_clean: bool,
    /// What ends a statement that only reads and that nobody waits for. Of others nobody knows whether they commit.
    cancel: Option<(CancelToken, MakeRustlsConnect)>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take()
            && !self.is_clean
        {
            if let (Some((cancel, tls)), Ok(runtime)) = (self.cancel.take(), Handle::try_current()) {
                runtime.spawn(tokio::time::timeout(WAIT, async move { cancel.cancel_query(tls).await }));
            }
            conn.discard();
        }
    }
}
