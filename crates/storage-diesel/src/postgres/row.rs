//! A row as the server sent it, as Diesel reads it.

use std::num::NonZeroU32;
use std::sync::Arc;

use diesel::pg::{Pg, PgValue};
use diesel::row::{Field, PartialRow, RowIndex, RowSealed};
use tokio_postgres::Statement;
use tokio_postgres::types::{FromSql, Type};

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

/// Rows that answer a statement.
pub(super) fn with_types(statement: &Statement, rows: Vec<tokio_postgres::Row>) -> Vec<Row> {
    let types: Arc<[NonZeroU32]> =
        statement.columns().iter().filter_map(|it| NonZeroU32::new(it.type_().oid())).collect();
    rows.into_iter().map(|row| Row { row, types: Arc::clone(&types) }).collect()
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
