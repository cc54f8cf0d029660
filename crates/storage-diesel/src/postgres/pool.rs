//! The pool of connections, and how a step runs on one of them: in one transaction, tried again when it collided.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Pool as Connections, PoolError, TimeoutType};
use diesel::ConnectionError;
use diesel::result::Error;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError as ManagerError, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures::FutureExt;
use futures::future::BoxFuture;
use pinrail_storage::StorageError;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_postgres::CancelToken;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Conn;
use super::errors::{is_undone, may_pass};
use super::open::Place;
use crate::TimeSource;
use crate::error::{TxError, TxResult};

/// How long a step waits for a free connection.
const WAIT: Duration = Duration::from_secs(5);
/// How long a step may take with its tries, unless it goes through everything; the server's own limits end most of
/// what takes long before.
const LONGEST: Duration = Duration::from_secs(90);
/// How often a step is tried when it collides with others.
const TRIES: u32 = 8;
/// A try that fails after so long has met a limit of the server, not a deadlock, which shows after one second.
const COLLIDES_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before a second try at most; twice that before a third, and so on.
const PAUSE: Duration = Duration::from_millis(4);

/// What ends a transaction. Its references are checked now, each by a query of the server's own that looks up one key:
/// with the plans of statements made anew each time, these would be planned for every row.
const COMMIT: &str = "SET LOCAL plan_cache_mode = auto; COMMIT";

/// What a step does with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It reads, all from one snapshot.
    Read,
    /// It reads everything, all from one snapshot: a little with each statement, and for as long as that takes.
    Everything,
    /// It reads with a single statement, which needs no transaction.
    LookUp,
    /// It writes.
    Write,
}

impl Access {
    /// What begins the transaction, if it needs one.
    const fn begin(self) -> Option<&'static str> {
        match self {
            Self::Read => Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s'"),
            Self::Everything => Some(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0",
            ),
            Self::LookUp => None,
            Self::Write => Some("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
        }
    }
}

/// Connections to one database.
pub(super) struct Pool {
    connections: Connections<AsyncDieselConnectionManager<AsyncPgConnection>>,
    tls: MakeRustlsConnect,
    time: TimeSource,
}

impl Pool {
    /// A pool that connects when it is first asked to, `size` times at once at most.
    pub(super) fn new(place: &Place, size: usize, time: TimeSource) -> Result<Self, String> {
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        let to = place.clone();
        config.custom_setup = Box::new(move |_| connect(to.clone()).boxed());
        let manager = AsyncDieselConnectionManager::new_with_config(place.address.shown.clone(), config);
        let pool = Connections::builder(manager).max_size(size.max(1)).runtime(Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(WAIT)).create_timeout(Some(2 * WAIT)).recycle_timeout(Some(WAIT));
        let connections = pool.build().map_err(|error| error.to_string())?;
        Ok(Self { connections, tls: place.tls.clone(), time })
    }

    /// Lend a connection for as long as the caller likes.
    pub(super) async fn lend(&self) -> Result<Conn, String> {
        Ok(Conn::new(self.connections.get().await.map_err(|error| no_connection(&error))?, self.time))
    }

    /// Run a step in one transaction. It is run again, from the beginning, when it failed before its commit by what may
    /// pass: a collision with another, or a connection that is gone.
    pub(super) async fn run<T>(
        &self,
        access: Access,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Clone,
    ) -> Result<T, StorageError> {
        let tries = async {
            let mut tried = 0;
            loop {
                tried += 1;
                let begun = Instant::now();
                let failed = match self.try_once(access, step.clone()).await {
                    Ok(outcome) => return Ok(outcome),
                    Err(failed) => failed,
                };
                let is_worth_it = begun.elapsed() < COLLIDES_WITHIN
                    && matches!(&failed, Failure::Undone(TxError::Database(error)) if may_pass(error));
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
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Clone,
    ) -> Result<T, Failure> {
        let conn = self.lend().await.map_err(Failure::NoConnection)?;
        let cancel = (access != Access::Write).then(|| (conn.cancel_token(), self.tls.clone()));
        let mut lent = Lent { conn: Some(conn), is_clean: false, cancel };
        let conn = lent.conn.as_mut().expect("it is taken when it is dropped");
        let Some(begin) = access.begin() else {
            let outcome = step(conn).await;
            lent.is_clean = outcome.is_ok();
            return outcome.map_err(Failure::Undone);
        };
        conn.batch_execute(begin).await.map_err(|error| Failure::Undone(error.into()))?;
        let outcome = match step(conn).await {
            Ok(outcome) => conn.batch_execute(COMMIT).await.map(|()| outcome).map_err(after_commit),
            Err(error) => Err(Failure::Undone(error)),
        };
        lent.is_clean = match &outcome {
            Ok(_) => true,
            Err(Failure::Undone(TxError::Database(error))) if !is_undone(error) => false,
            Err(Failure::Undone(_)) => conn.batch_execute("ROLLBACK").await.is_ok(),
            Err(Failure::NoConnection(_) | Failure::Unknown(_)) => false,
        };
        outcome
    }
}

async fn connect(place: Place) -> diesel::ConnectionResult<AsyncPgConnection> {
    let refused = |error: super::PostgresError| ConnectionError::BadConnection(error.to_string());
    let (client, connection) = place.connect().await.map_err(refused)?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

/// Why one try did not do a step.
enum Failure {
    /// There was no connection to do it on.
    NoConnection(String),
    /// Nothing of it is kept.
    Undone(TxError),
    /// The connection broke while it was being committed.
    Unknown(Error),
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoConnection(why) => Self::Unavailable(why),
            Failure::Undone(error) => error.into(),
            Failure::Unknown(error) => {
                Self::Unavailable(format!("the connection broke, and with it the answer to a commit: {error}"))
            }
        }
    }
}

/// What it means that a commit failed: a refusal says that nothing is kept, silence says nothing.
fn after_commit(error: Error) -> Failure {
    if is_undone(&error) { Failure::Undone(error.into()) } else { Failure::Unknown(error) }
}

fn no_connection(error: &PoolError<ManagerError>) -> String {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => {
            "all of the pool's connections are in use: too little time, or too few of them (--database-connections)"
                .to_owned()
        }
        PoolError::Timeout(_) => "PostgreSQL does not answer".to_owned(),
        PoolError::Backend(ManagerError::ConnectionError(ConnectionError::BadConnection(why))) => why.clone(),
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
