//! A query of Diesel's as the driver sends it: its text, and each value in bytes with its type.

use bytes::BytesMut;
use diesel::pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata};
use diesel::prelude::*;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{QueryBuilder, QueryFragment};
use diesel::result::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A query as the server is told it.
pub(super) struct Asked {
    pub(super) sql: String,
    pub(super) types: Vec<Type>,
    pub(super) binds: Vec<Bind>,
}

impl Asked {
    /// A query with its text and its values.
    pub(super) fn of<Q: QueryFragment<Pg>>(query: &Q) -> QueryResult<Self> {
        let RawBytesBindCollector { metadata, binds, .. } = collected(query)?;
        let mut text = PgQueryBuilder::default();
        query.to_sql(&mut text, &Pg)?;
        let types = metadata.iter().map(built_in).collect::<QueryResult<_>>()?;
        Ok(Self { sql: text.finish(), types, binds: binds.into_iter().map(Bind).collect() })
    }

    /// The values alone of a query whose text is known.
    pub(super) fn binds_of<Q: QueryFragment<Pg>>(query: &Q) -> QueryResult<Vec<Bind>> {
        Ok(collected(query)?.binds.into_iter().map(Bind).collect())
    }

    /// Whether it changes no rows.
    pub(super) fn only_reads(&self) -> bool {
        self.sql.starts_with("SELECT ")
    }

    /// The values as the driver takes them.
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.binds.iter().map(|bind| bind as &(dyn ToSql + Sync)).collect()
    }
}

fn collected<Q: QueryFragment<Pg>>(query: &Q) -> QueryResult<RawBytesBindCollector<Pg>> {
    let mut collected = RawBytesBindCollector::new();
    query.collect_binds(&mut collected, &mut OwnTypes, &Pg)?;
    Ok(collected)
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
pub(super) struct Bind(pub(super) Option<Vec<u8>>);

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
