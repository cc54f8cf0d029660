//! A pooled connection that queries run on: diesel-async's own, with every statement kept prepared.
//!
//! Diesel takes updates and upserts for too various to keep. The texts here are a fixed set, and to prepare one anew costs
//! a round trip to the server.

use deadpool::managed::Object;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId};
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::{AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection};
use tokio_postgres::CancelToken;

use crate::TimeSource;

/// A connection of diesel-async's pool.
pub(super) type Pooled = Object<AsyncDieselConnectionManager<AsyncPgConnection>>;

/// A pooled connection.
pub(crate) struct Connection {
    inner: Pooled,
    time: TimeSource,
    keeps_prepared: bool,
}

impl Connection {
    pub(super) const fn new(inner: Pooled, time: TimeSource) -> Self {
        Self { inner, time, keeps_prepared: true }
    }

    /// Whose time its steps go by.
    pub(super) const fn time(&self) -> TimeSource {
        self.time
    }

    /// Say whether the statements that follow are kept prepared: those with a text for each number of something that a
    /// client chooses are not, or their number would have no bound.
    pub(super) const fn keep_prepared(&mut self, keeps: bool) {
        self.keeps_prepared = keeps;
    }

    /// What ends the statement that is running on it.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.inner.cancel_token()
    }

    /// Keep the connection out of the pool and close it: nobody knows what state it is in.
    pub(super) fn discard(self) {
        drop(Object::take(self.inner));
    }
}

impl SimpleAsyncConnection for Connection {
    async fn batch_execute(&mut self, statements: &str) -> QueryResult<()> {
        self.inner.batch_execute(statements).await
    }
}

impl AsyncConnectionCore for Connection {
    type ExecuteFuture<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::ExecuteFuture<'conn, 'query>;
    type LoadFuture<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::LoadFuture<'conn, 'query>;
    type Stream<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::Stream<'conn, 'query>;
    type Row<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::Row<'conn, 'query>;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        let query = Prepared { query: source.as_query(), is_kept: self.keeps_prepared };
        AsyncConnectionCore::load(&mut *self.inner, query)
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        let query = Prepared { query: source, is_kept: self.keeps_prepared };
        AsyncConnectionCore::execute_returning_count(&mut *self.inner, query)
    }
}

/// A query that says itself whether its statement is kept prepared, by its text.
struct Prepared<Q> {
    query: Q,
    is_kept: bool,
}

impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.query.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(self.is_kept)
    }
}
