//! Inserts of one row each, put together into one statement whose text is the same however many rows there are: so it
//! is prepared and planned once.

use std::fmt::Write as _;

use bytes::BufMut as _;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use diesel::result::Error;
use tokio_postgres::types::Type;

use super::asked::{Asked, Bind};

/// Where the row begins in an insert as Diesel writes it.
const VALUES: &str = " VALUES (";

/// Rows for one statement.
#[derive(Default)]
pub(super) struct Together {
    insert: Option<(String, Vec<Type>)>,
    rows: Vec<Vec<Bind>>,
}

impl Together {
    /// Insert the row of this insert as well. It has to be the same query each time, whose values alone differ.
    pub(super) fn add<Q: QueryFragment<Pg>>(&mut self, insert: &Q) -> QueryResult<()> {
        if self.insert.is_none() {
            let Asked { sql, types, binds } = Asked::of(insert)?;
            self.insert = Some((sql, types));
            self.rows.push(binds);
        } else {
            self.rows.push(Asked::binds_of(insert)?);
        }
        Ok(())
    }

    /// The statement that inserts all rows; none are left.
    pub(super) fn take(&mut self) -> QueryResult<Option<Asked>> {
        let Some((sql, types)) = self.insert.take() else { return Ok(None) };
        let rows = std::mem::take(&mut self.rows);
        let arrays = types.iter().map(array_of).collect::<QueryResult<Vec<_>>>()?;
        let array = |(column, element)| array(element, rows.iter().map(|row| &row[column]));
        let binds = types.iter().enumerate().map(array).collect();
        Ok(Some(Asked { sql: from_arrays(&sql, types.len())?, types: arrays, binds }))
    }
}

/// An insert of one row made into one of a row for each element of its parameters, which are arrays.
fn from_arrays(insert: &str, parameters: usize) -> QueryResult<String> {
    let (into, values) = insert.split_once(VALUES).ok_or_else(|| not_a_row(insert))?;
    let (row, rest) = values.split_at(end_of_row(values).ok_or_else(|| not_a_row(insert))?);
    if rest.contains('$') {
        return Err(not_a_row(insert));
    }
    let list = |before: &str| (1..=parameters).map(|it| format!("{before}{it}")).collect::<Vec<_>>().join(", ");
    let row = row.replace('$', "given.c");
    let mut sql = format!("{into} SELECT {row} FROM unnest({}) AS given ({})", list("$"), list("c"));
    write!(sql, "{}", &rest[1..]).map_err(|error| Error::SerializationError(error.into()))?;
    Ok(sql)
}

/// Where the parenthesis is that closes a row.
fn end_of_row(values: &str) -> Option<usize> {
    let mut open = 1;
    values.char_indices().find_map(|(index, character)| {
        match character {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        (open == 0).then_some(index)
    })
}

fn not_a_row(insert: &str) -> Error {
    Error::QueryBuilderError(format!("this is no insert of one row with all its values: {insert}").into())
}

fn array_of(element: &Type) -> QueryResult<Type> {
    Ok(match *element {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::TEXT => Type::TEXT_ARRAY,
        _ => return Err(Error::SerializationError(format!("no column is an array of {element}").into())),
    })
}

/// An array of one dimension as PostgreSQL is sent it (`array_recv` in its source): how many dimensions, whether an
/// element may be null, of which type they are, how many and from which index; then each with its length, or −1.
fn array<'a>(element: &Type, values: impl ExactSizeIterator<Item = &'a Bind>) -> Bind {
    let mut bytes = Vec::new();
    bytes.put_i32(1);
    bytes.put_i32(1);
    bytes.put_u32(element.oid());
    bytes.put_i32(length(values.len()));
    bytes.put_i32(1);
    for Bind(value) in values {
        let Some(value) = value else {
            bytes.put_i32(-1);
            continue;
        };
        bytes.put_i32(length(value.len()));
        bytes.put_slice(value);
    }
    Bind(Some(bytes))
}

/// What is longer is refused by the driver: a message is no longer than that.
fn length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_takes_its_rows_from_arrays() {
        let insert = "INSERT INTO t (a, b, c) VALUES ($1, (SELECT greatest(d, $2) FROM e), $3) ON CONFLICT DO NOTHING";
        let wanted = "INSERT INTO t (a, b, c) SELECT given.c1, (SELECT greatest(d, given.c2) FROM e), given.c3 \
            FROM unnest($1, $2, $3) AS given (c1, c2, c3) ON CONFLICT DO NOTHING";
        assert_eq!(from_arrays(insert, 3).expect("it is an insert of a row"), wanted);
    }

    #[test]
    fn what_is_no_insert_of_one_row_is_refused() {
        for (sql, parameters) in [
            ("INSERT INTO t (a) SELECT b FROM c", 0),
            ("INSERT INTO t (a) VALUES ($1) ON CONFLICT DO UPDATE SET a = $2", 2),
            ("INSERT INTO t (a) VALUES ($1), ($2)", 2),
            ("INSERT INTO t (a) VALUES ($1", 1),
        ] {
            from_arrays(sql, parameters).expect_err(sql);
        }
    }
}
