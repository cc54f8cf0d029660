//! A connection of the pool on which Diesel's queries run.
//!
//! Unlike diesel-async's own connection it tells a deadlock from other errors by its code, whatever language the
//! server speaks, and keeps every statement prepared, also those that Diesel takes for too various to keep (each
//! UPDATE, each upsert): preparing them anew would take a round trip to the server for each.

use deadpool_postgres::Object;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::result::Error;
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture, join, join_all, ready};
use futures::stream;
use pinrail_spec::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Statement};

use super::asked::Asked;
use super::batch::Batch;
use super::clock::shown;
use super::errors::told;
use super::questions::{Answers, Questions};
use super::row::{Row, with_types};
use super::together::Together;
use crate::TimeSource;

/// Statements kept prepared on one connection at most. Ours are fewer.
const STATEMENTS: usize = 1_000;

/// Writes that are sent with no wait for one another's answers. More than thirty futures are not polled in their order
/// by `join_all`.
const SENT_AT_ONCE: usize = 30;

/// A connection that is lent by the pool.
///
/// What is written for its effect alone can be put off: it is sent all at once, before anything else is asked, so that
/// many writes cost one round trip to the server.
pub(crate) struct Connection {
    client: Object,
    time: TimeSource,
    /// What begins the transaction, until it has begun.
    opening: Option<Opening>,
    begun: Option<Timestamp>,
    batch: Batch,
    put_off: Vec<Asked>,
    keeps_prepared: bool,
}

/// What begins a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) command: &'static str,
    /// Whether the server then refuses every write.
    pub(super) only_reads: bool,
}

type Answer<T> = Result<T, tokio_postgres::Error>;
/// A statement with its values.
type Prepared<'a> = (Statement, Vec<&'a (dyn ToSql + Sync)>);

impl Connection {
    pub(super) fn new(client: Object, time: TimeSource) -> Self {
        Self {
            client,
            time,
            opening: None,
            begun: None,
            batch: Batch::default(),
            put_off: Vec::new(),
            keeps_prepared: true,
        }
    }

    /// Begin a transaction before anything is asked, and look at the server's clock.
    pub(super) const fn begin(&mut self, opening: Opening) {
        self.opening = Some(opening);
    }

    /// End a transaction that only read. Whether that succeeds is nobody's concern, so nobody waits for it: whoever has
    /// the connection next asks behind it.
    pub(super) fn end_reading(&mut self) {
        if self.opening.take().is_none() {
            // It is sent when it is first polled.
            drop(self.client.batch_execute("COMMIT").now_or_never());
        }
    }

    /// The server's time when the transaction began.
    pub(super) async fn begun(&mut self) -> QueryResult<Option<Timestamp>> {
        self.open().await?;
        Ok(self.begun)
    }

    /// Begin what is to be begun. Nothing is written before that is known to be done.
    async fn open(&mut self) -> QueryResult<()> {
        if self.opening.is_some() {
            self.send(&[]).await?;
        }
        Ok(())
    }

    /// Ask several things at once, and with them begin what is to be begun; none of them may write.
    pub(super) async fn ask(&mut self, questions: Questions) -> QueryResult<Answers> {
        self.catch_up().await?;
        self.send(&questions.asked).await
    }

    /// Begin what is to be begun, and ask with no wait in between.
    async fn send(&mut self, asked: &[Asked]) -> QueryResult<Answers> {
        let prepared = self.prepare_all(asked).await?;
        let opening = match self.opening.take() {
            Some(opening) => Some((opening.command, self.prepare(&Asked::of(&diesel::select(shown()))?).await?)),
            None => None,
        };
        // Each is sent when it is first polled.
        let begun = opening.as_ref().map(|(command, clock)| begin(&self.client, command, clock));
        let begun = OptionFuture::from(begun);
        let answers = prepared.iter().map(|(statement, binds)| self.client.query(statement, binds));
        let (begun, answers) = join(begun, join_all(answers)).await;
        self.begun = begun.transpose().map_err(told)?.or(self.begun);
        let rows = prepared.iter().zip(answers).map(|((statement, _), rows)| Ok(with_types(statement, rows?)));
        Ok(Answers(rows.collect::<Answer<_>>().map_err(told)?))
    }

    /// Whose time its steps go by.
    pub(super) const fn time(&self) -> TimeSource {
        self.time
    }

    /// Keep the connection out of the pool and close it: nobody knows what state it is in.
    pub(super) fn discard(self) {
        drop(Object::take(self.client));
    }

    /// What ends the statement that is running on it.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// Say whether the queries that follow are kept prepared: those with a text for each number of something that a
    /// client chooses are not, or their number would have no bound.
    pub(super) const fn keep_prepared(&mut self, keeps: bool) {
        self.keeps_prepared = keeps;
    }

    /// The rows that are written later, at the latest before anything else is asked, and before what is put off.
    pub(super) const fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Write something later, at the latest before anything else is asked.
    pub(super) fn put_off<Q: QueryFragment<Pg>>(&mut self, query: &Q) -> QueryResult<()> {
        self.put_off.push(Asked::of(query)?);
        Ok(())
    }

    /// Insert rows later, at the latest before anything else is asked.
    pub(super) fn put_off_together(&mut self, rows: &mut Together) -> QueryResult<()> {
        self.put_off.extend(rows.take()?);
        Ok(())
    }

    /// Write what was put off, in its order; the first error.
    pub(super) async fn catch_up(&mut self) -> QueryResult<()> {
        let writes = self.take_writes()?;
        if writes.is_empty() {
            return Ok(());
        }
        self.open().await?;
        self.write_and(&writes, ready(Ok(()))).await
    }

    /// What was put off and is to be written now.
    fn take_writes(&mut self) -> QueryResult<Vec<Asked>> {
        let mut writes = self.batch.take()?;
        writes.append(&mut self.put_off);
        Ok(writes)
    }

    /// Write, and ask something right behind it with no wait in between; the first error.
    async fn write_and<T>(&self, writes: &[Asked], ask: impl Future<Output = Answer<T>>) -> QueryResult<T> {
        let prepared = self.prepare_all(writes).await?;
        let mut portions = prepared.chunks(SENT_AT_ONCE);
        let last = portions.next_back().unwrap_or_default();
        for some in portions {
            self.write(some).await.map_err(told)?;
        }
        // Each is sent when it is first polled.
        let (written, answer) = join(self.write(last), ask).await;
        written.and(answer).map_err(told)
    }

    async fn write(&self, prepared: &[Prepared<'_>]) -> Answer<()> {
        let written = prepared.iter().map(|(statement, binds)| self.client.execute(statement, binds));
        join_all(written).await.into_iter().try_for_each(|written| written.map(drop))
    }

    /// Undo with this command, and forget what was put off.
    pub(super) async fn undo(&mut self, command: &str) -> QueryResult<()> {
        self.batch = Batch::default();
        self.put_off.clear();
        self.batch_execute(command).await
    }

    async fn rows(&mut self, asked: QueryResult<Asked>) -> QueryResult<Vec<QueryResult<Row>>> {
        let (asked, writes) = (asked?, self.take_writes()?);
        if self.opening.is_some() && asked.only_reads() && writes.is_empty() {
            let mut answers = self.send(&[asked]).await?;
            return Ok(answers.0.remove(0).into_iter().map(Ok).collect());
        }
        self.open().await?;
        let statement = self.prepare(&asked).await?;
        let binds = asked.parameters();
        let rows = self.write_and(&writes, self.client.query(&statement, &binds)).await?;
        Ok(with_types(&statement, rows).into_iter().map(Ok).collect())
    }

    async fn count(&mut self, asked: QueryResult<Asked>) -> QueryResult<usize> {
        self.open().await?;
        let (asked, writes) = (asked?, self.take_writes()?);
        let statement = self.prepare(&asked).await?;
        let binds = asked.parameters();
        let changed = self.write_and(&writes, self.client.execute(&statement, &binds)).await?;
        usize::try_from(changed).map_err(|error| Error::DeserializationError(error.into()))
    }

    async fn prepare_all<'a>(&self, asked: &'a [Asked]) -> QueryResult<Vec<Prepared<'a>>> {
        let mut prepared = Vec::with_capacity(asked.len());
        for asked in asked {
            prepared.push((self.prepare(asked).await?, asked.parameters()));
        }
        Ok(prepared)
    }

    async fn prepare(&self, asked: &Asked) -> QueryResult<Statement> {
        let prepared = if self.keeps_prepared && self.client.statement_cache.size() < STATEMENTS {
            self.client.prepare_typed_cached(&asked.sql, &asked.types).await
        } else {
            self.client.prepare_typed(&asked.sql, &asked.types).await
        };
        prepared.map_err(told)
    }
}

/// Begin a transaction; the server's time then.
async fn begin(client: &Object, command: &str, clock: &Statement) -> Answer<Timestamp> {
    let (begun, clock) = join(client.batch_execute(command), client.query_one(clock, &[])).await;
    begun.and(clock).map(|row| Timestamp::from_millis(row.get(0)))
}

impl SimpleAsyncConnection for Connection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.open().await?;
        let writes = self.take_writes()?;
        self.write_and(&writes, self.client.batch_execute(query)).await
    }
}

impl AsyncConnectionCore for Connection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = stream::Iter<std::vec::IntoIter<QueryResult<Row>>>;
    type Row<'conn, 'query> = Row;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        let asked = Asked::of(&source.as_query());
        Box::pin(async move { Ok(stream::iter(self.rows(asked).await?)) })
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        let asked = Asked::of(&source);
        Box::pin(async move { self.count(asked).await })
    }
}
