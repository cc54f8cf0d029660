//! The storage on PostgreSQL: each method of the traits is one transaction, or a part of one that adds a group.

use std::sync::Arc;

use async_trait::async_trait;
use diesel_async::RunQueryDsl;
use futures::future::BoxFuture;
use pinrail_domain::{AccountId, NewPinRequest, PinRequest, RequestId, ServiceId, Standing, TokenId};
use pinrail_spec::Timestamp;
use pinrail_storage::{ListUse, Statistics, Storage, StorageError};
use tokio::time::timeout;

use super::listener::Listener;
use super::lookup_batcher::LookupBatcher;
use super::open::{Place, PostgresError, PostgresOptions, Problem};
use super::pin_batcher::PinBatcher;
use super::pool::{Access, Pool};
use super::queries::{check, clock_repair, service, statistics};
use super::{Conn, clock, dialect, session};
use crate::CounterMismatch;
use crate::clock_repair::problem_of;
use crate::convert::moment;
use crate::error::TxResult;
use crate::room::{LONGEST_LIST, Room, too_long};

/// What is noted where there is no index for parts of names.
const NO_INDEX: &str = "parts of names are looked for without an index, which is slow in large accounts: have a \
    superuser run CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gin; in the database, then run pinrail-api migrate";

/// Pinrail's storage in a PostgreSQL database, which many processes may share.
pub struct PostgresStorage {
    pool: Arc<Pool>,
    adder: PinBatcher,
    look_ups: LookupBatcher,
    listener: Listener,
    actor: Arc<str>,
    lists: Room,
    changes: Room,
}

impl PostgresStorage {
    /// Open the database that `url` names, whose schema has to be one that this version can use.
    pub async fn open(url: &str, options: &PostgresOptions) -> Result<Self, PostgresError> {
        let place = Place::read(url)?;
        place.wait_for_schema(options.wait).await?;
        let connections = options.connections.max(2);
        let pool = Pool::new(&place, connections, options.time).map_err(|why| place.error(Problem::Failed(why)))?;
        let pool = Arc::new(pool);
        let (adder, look_ups) = (PinBatcher::start(&pool), LookupBatcher::start(&pool));
        // The others are for look-ups and additions, which never wait for those.
        let lists = Room::for_lists(connections / 2);
        // Those of one account wait for its lock anyway, each with a connection.
        let changes = Room::new("changes", connections / 4, 1);
        let (listener, actor) = (Listener::start(place), Arc::from(options.actor.as_str()));
        Ok(Self { pool, adder, look_ups, listener, actor, lists, changes })
    }

    /// Who its steps are noted to be of in the audit log.
    pub(super) fn actor(&self) -> Arc<str> {
        Arc::clone(&self.actor)
    }

    /// Compare every counter with what it counts; the differences, none in a database that is whole. Reads all of it.
    pub async fn check_counters(&self) -> Result<Vec<CounterMismatch>, StorageError> {
        self.pool.run(Access::Everything, |conn| Box::pin(check::check_counters(conn))).await
    }

    /// What an operator should know of the database, a line each.
    pub async fn notes(&self) -> Result<Vec<String>, StorageError> {
        let is_there = self.look_up(|conn| Box::pin(dialect::finds_parts_of_names(conn))).await?;
        Ok(if is_there { Vec::new() } else { vec![NO_INDEX.to_owned()] })
    }

    /// What has to be mended by a command, a line each that names it.
    pub async fn problems(&self) -> Result<Vec<String>, StorageError> {
        let (now, found, outdated) = self
            .pool
            .run(Access::Everything, |conn| {
                Box::pin(async move {
                    let now = session::now(conn, moment(0)).await?;
                    Ok((now, clock_repair::find(conn, now).await?, dialect::outdated_collation(conn).await?))
                })
            })
            .await?;
        let mut problems: Vec<String> =
            problem_of(&found, &format!("the server's clock shows {now}")).into_iter().collect();
        problems.extend(outdated);
        Ok(problems)
    }

    /// Accept a pin request, in one transaction with others that come at the same time.
    pub(super) async fn add(&self, request: NewPinRequest, now: Timestamp) -> Result<PinRequest, StorageError> {
        let added = self.adder.add(request, now).await?;
        self.listener.tell();
        Ok(added)
    }

    /// How a token stands, read with those of others that are asked for at the same time.
    pub(super) async fn find_standing(&self, token: TokenId) -> Result<Option<Standing>, StorageError> {
        self.look_ups.standing(token).await
    }

    /// One request of an account, read with others that are asked for at the same time.
    pub(super) async fn find_request(
        &self,
        account: AccountId,
        id: RequestId,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError> {
        self.look_ups.request(account, id, now).await
    }

    /// A step that writes. The database's clock needs no note of the time.
    pub(super) async fn write<T>(
        &self,
        _now: Option<Timestamp>,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Clone,
    ) -> Result<T, StorageError> {
        self.pool.run(Access::Write, step).await
    }

    /// A step that writes, after which workers may have something to do.
    pub(super) async fn write_for_workers<T>(
        &self,
        now: Timestamp,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Clone,
    ) -> Result<T, StorageError> {
        let outcome = self.write(Some(now), step).await?;
        self.listener.tell();
        Ok(outcome)
    }

    /// A step that changes what an account holds, after which workers may have something to do.
    pub(super) async fn change<T>(
        &self,
        account: AccountId,
        now: Timestamp,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Clone,
    ) -> Result<T, StorageError> {
        let _permit = self.changes.enter(account).await?;
        self.write_for_workers(now, step).await
    }

    /// A read in a single statement.
    pub(super) async fn look_up<T>(
        &self,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Clone,
    ) -> Result<T, StorageError> {
        self.pool.run(Access::LookUp, step).await
    }

    /// A read, all of it from one snapshot.
    pub(super) async fn read<T>(
        &self,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Clone,
    ) -> Result<T, StorageError> {
        self.pool.run(Access::Read, step).await
    }

    /// A list of an account, which may `walk` over all of it unless the server has an index for what is looked for.
    pub(super) async fn list<T>(
        &self,
        account: AccountId,
        walks: bool,
        step: impl for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, TxResult<T>> + Clone,
    ) -> Result<T, StorageError> {
        let _permit = self.lists.enter(account).await?;
        let read = self.pool.run(Access::Read, step);
        if walks { timeout(LONGEST_LIST, read).await.map_err(|_| too_long())? } else { read.await }
    }

    /// Wait for a change that may concern workers.
    pub(super) async fn await_change(&self) -> Result<(), StorageError> {
        let mut changes = self.listener.changes();
        changes.changed().await.map_err(|_| StorageError::Unavailable("the storage is closed".to_owned()))
    }
}

#[async_trait]
impl Storage for PostgresStorage {
    async fn now(&self) -> Result<Timestamp, StorageError> {
        self.look_up(|conn| Box::pin(async move { Ok(moment(diesel::select(clock::shown()).get_result(conn).await?)) }))
            .await
    }

    async fn service_id(&self) -> Result<ServiceId, StorageError> {
        self.read(|conn| Box::pin(service::service_id(conn))).await
    }

    fn list_use(&self) -> ListUse {
        self.lists.in_use()
    }

    async fn statistics(&self, now: Timestamp) -> Result<Statistics, StorageError> {
        self.read(move |conn| Box::pin(statistics::statistics(conn, now))).await
    }

    async fn ready(&self) -> Result<(), StorageError> {
        self.write(None, |conn| Box::pin(service::touch(conn))).await
    }
}
