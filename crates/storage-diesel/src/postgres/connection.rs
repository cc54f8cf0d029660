//! A connection of the pool on which Diesel's queries run.
//!
//! Unlike diesel-async's own connection it tells a deadlock from other errors by its code, whatever language the
//! server speaks, and keeps every statement prepared, also those that Diesel takes for too various to keep (each
//! UPDATE, each upsert): preparing them anew would take a round trip to the server for each.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::BytesMut;
use deadpool_postgres::Object;
use diesel::pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata, PgValue};
use diesel::prelude::*;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{AsQuery, QueryBuilder, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::{Field, PartialRow, RowIndex, RowSealed};
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use futures::future::{BoxFuture, join, join_all, ready};
use futures::stream;
use pinrail_spec::Timestamp;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{SimpleQueryMessage, Statement};

use super::batch::Batch;
use super::clock::CLOCK;
use super::errors::told;
use crate::TimeSource;

/// Statements kept prepared on one connection at most. Ours are fewer; filters by many pairs of meta could make more.
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
    begun: Option<Timestamp>,
    batch: Batch,
    put_off: Vec<Asked>,
}

type Answer<T> = Result<T, tokio_postgres::Error>;

/// A query as the server is told it.
pub(super) struct Asked {
    sql: String,
    types: Vec<Type>,
    binds: Vec<Bind>,
}

impl Connection {
    pub(super) fn new(client: Object, time: TimeSource) -> Self {
        Self { client, time, begun: None, batch: Batch::default(), put_off: Vec::new() }
    }

    /// Begin a transaction with this command, and look at the server's clock with the same message.
    pub(super) async fn begin(&mut self, command: &str) -> QueryResult<()> {
        let answers = self.client.simple_query(&format!("{command}; SELECT {CLOCK}")).await.map_err(told)?;
        let millis = answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        self.begun = millis.map(Timestamp::from_millis);
        Ok(())
    }

    /// The server's time when the transaction began.
    pub(super) const fn begun(&self) -> Option<Timestamp> {
        self.begun
    }

    /// Whose time its steps go by.
    pub(super) const fn time(&self) -> TimeSource {
        self.time
    }

    /// Keep the connection out of the pool and close it: nobody knows what state it is in.
    pub(super) fn discard(self) {
        drop(Object::take(self.client));
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

    /// Write what was put off, in its order; the first error.
    pub(super) async fn catch_up(&mut self) -> QueryResult<()> {
        let writes = self.take_writes()?;
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
        let mut prepared = Vec::with_capacity(writes.len());
        for asked in writes {
            prepared.push((self.prepare(asked).await?, asked.parameters()));
        }
        let mut portions = prepared.chunks(SENT_AT_ONCE);
        let last = portions.next_back().unwrap_or_default();
        for some in portions {
            self.write(some).await.map_err(told)?;
        }
        // Each is sent when it is first polled.
        let (written, answer) = join(self.write(last), ask).await;
        written.and(answer).map_err(told)
    }

    async fn write(&self, prepared: &[(Statement, Vec<&(dyn ToSql + Sync)>)]) -> Answer<()> {
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
        let statement = self.prepare(&asked).await?;
        let binds = asked.parameters();
        let rows = self.write_and(&writes, self.client.query(&statement, &binds)).await?;
        let types: Arc<[NonZeroU32]> =
            statement.columns().iter().filter_map(|it| NonZeroU32::new(it.type_().oid())).collect();
        Ok(rows.into_iter().map(|row| Ok(Row { row, types: Arc::clone(&types) })).collect())
    }

    async fn count(&mut self, asked: QueryResult<Asked>) -> QueryResult<usize> {
        let (asked, writes) = (asked?, self.take_writes()?);
        let statement = self.prepare(&asked).await?;
        let binds = asked.parameters();
        let changed = self.write_and(&writes, self.client.execute(&statement, &binds)).await?;
        usize::try_from(changed).map_err(|error| Error::DeserializationError(error.into()))
    }

    async fn prepare(&self, asked: &Asked) -> QueryResult<Statement> {
        let prepared = if self.client.statement_cache.size() < STATEMENTS {
            self.client.prepare_typed_cached(&asked.sql, &asked.types).await
        } else {
            self.client.prepare_typed(&asked.sql, &asked.types).await
        };
        prepared.map_err(told)
    }
}

impl Asked {
    pub(super) fn of<Q: QueryFragment<Pg>>(query: &Q) -> QueryResult<Self> {
        let mut collected = RawBytesBindCollector::<Pg>::new();
        query.collect_binds(&mut collected, &mut OwnTypes, &Pg)?;
        let mut text = PgQueryBuilder::default();
        query.to_sql(&mut text, &Pg)?;
        let types = collected.metadata.iter().map(built_in).collect::<QueryResult<_>>()?;
        Ok(Self { sql: text.finish(), types, binds: collected.binds.into_iter().map(Bind).collect() })
    }

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.binds.iter().map(|bind| bind as &(dyn ToSql + Sync)).collect()
    }
}

/// Types that a database's owner defines: none are used here.
struct OwnTypes;

impl PgMetadataLookup for OwnTypes {
    fn lookup_type(&mut self, _name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(0, 0)
    }
}

fn built_in(metadata: &PgTypeMetadata) -> QueryResult<Type> {
    let oid = metadata.oid().map_err(|error| Error::SerializationError(error.into()))?;
    Type::from_oid(oid).ok_or_else(|| Error::SerializationError(format!("type {oid} is not built in").into()))
}

/// A value as Diesel has put it into bytes.
#[derive(Debug)]
struct Bind(Option<Vec<u8>>);

impl ToSql for Bind {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value as the server sent it.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row as the server sent it, with the types of its columns.
pub(crate) struct Row {
    row: tokio_postgres::Row,
    types: Arc<[NonZeroU32]>,
}

/// A column of a row.
pub(crate) struct Column<'a> {
    row: &'a Row,
    index: usize,
}

impl RowSealed for Row {}

impl<'a> diesel::row::Row<'a, Pg> for Row {
    type Field<'f>
        = Column<'f>
    where
        'a: 'f,
        Self: 'f;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        self.row.len()
    }

    fn get<'b, I>(&'b self, index: I) -> Option<Self::Field<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        Some(Column { row: self, index: self.idx(index)? })
    }

    fn partial_row(&self, range: std::ops::Range<usize>) -> PartialRow<'_, Self::InnerPartialRow> {
        PartialRow::new(self, range)
    }
}

impl RowIndex<usize> for Row {
    fn idx(&self, index: usize) -> Option<usize> {
        (index < self.row.len()).then_some(index)
    }
}

impl RowIndex<&str> for Row {
    fn idx(&self, name: &str) -> Option<usize> {
        self.row.columns().iter().position(|column| column.name() == name)
    }
}

impl<'a> Field<'a, Pg> for Column<'a> {
    fn field_name(&self) -> Option<&str> {
        self.row.row.columns().get(self.index).map(tokio_postgres::Column::name)
    }

    fn value(&self) -> Option<PgValue<'_>> {
        let Raw(bytes) = self.row.row.get(self.index);
        Some(PgValue::new(bytes?, &self.row.types[self.index]))
    }
}

impl SimpleAsyncConnection for Connection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
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
