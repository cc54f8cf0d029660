//! Inserts and updates of one row each, put together into one statement whose text is the same however many rows there
//! are, if there is more than one: so it is prepared and planned once.

use bytes::BufMut as _;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use diesel::result::Error;
use tokio_postgres::types::Type;

use super::asked::{Asked, Bind};

/// Where the row begins in an insert as Diesel writes it.
const VALUES: &str = " VALUES (";
/// Where it is said which row an update is of.
const WHERE: &str = " WHERE ";

/// Rows for one statement.
#[derive(Default)]
pub(super) struct Together {
    write: Option<(String, Vec<Type>)>,
    rows: Vec<Vec<Bind>>,
}

impl Together {
    /// Write the row of this insert or update as well. It has to be the same query each time, whose values alone
    /// differ, and updates have to be of different rows.
    pub(super) fn add<Q: QueryFragment<Pg>>(&mut self, write: &Q) -> QueryResult<()> {
        if self.write.is_none() {
            let Asked { sql, types, binds } = Asked::of(write)?;
            self.write = Some((sql, types));
            self.rows.push(binds);
        } else {
            self.rows.push(Asked::binds_of(write)?);
        }
        Ok(())
    }

    /// The statement that writes all rows; none are left.
    pub(super) fn take(&mut self) -> QueryResult<Option<Asked>> {
        let Some((sql, types)) = self.write.take() else { return Ok(None) };
        let mut rows = std::mem::take(&mut self.rows);
        if rows.len() == 1 {
            return Ok(rows.pop().map(|binds| Asked { sql, types, binds }));
        }
        let arrays = types.iter().map(array_of).collect::<QueryResult<Vec<_>>>()?;
        let array = |(column, element)| array(element, rows.iter().map(|row| &row[column]));
        let binds = types.iter().enumerate().map(array).collect();
        Ok(Some(Asked { sql: from_arrays(&sql, types.len())?, types: arrays, binds }))
    }
}

/// A write of one row made into one of a row for each element of its parameters, which are arrays.
fn from_arrays(write: &str, parameters: usize) -> QueryResult<String> {
    let list = |before: &str| (1..=parameters).map(|it| format!("{before}{it}")).collect::<Vec<_>>().join(", ");
    let given = format!("FROM unnest({}) AS given ({})", list("$"), list("c"));
    let each = |part: &str| part.replace('$', "given.c");
    if write.starts_with("UPDATE ") {
        let (set, row) = write.split_once(WHERE).ok_or_else(|| not_a_row(write))?;
        let (column, parameter) = row.split_once(" = $").ok_or_else(|| not_a_row(write))?;
        // Said twice, so that no plan reads all rows to find which of them are given.
        return Ok(format!("{} {given}{WHERE}{} AND {column} = ANY (${parameter})", each(set), each(row)));
    }
    let (into, values) = write.split_once(VALUES).ok_or_else(|| not_a_row(write))?;
    let (row, rest) = values.split_at(end_of_row(values).ok_or_else(|| not_a_row(write))?);
    if rest.contains('$') {
        return Err(not_a_row(write));
    }
    Ok(format!("{into} SELECT {} {given}{}", each(row), &rest[1..]))
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

fn not_a_row(write: &str) -> Error {
    Error::QueryBuilderError(format!("this writes no single row with all its values: {write}").into())
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
    fn an_update_takes_its_rows_from_arrays() {
        let update = "UPDATE t SET a = (t.a + $1), b = $2 WHERE (t.c = $3)";
        let wanted = "UPDATE t SET a = (t.a + given.c1), b = given.c2 \
            FROM unnest($1, $2, $3) AS given (c1, c2, c3) WHERE (t.c = given.c3) AND (t.c = ANY ($3))";
        assert_eq!(from_arrays(update, 3).expect("it is an update of a row"), wanted);
    }

    #[test]
    fn what_writes_no_single_row_is_refused() {
        for (sql, parameters) in [
            ("INSERT INTO t (a) SELECT b FROM c", 0),
            ("INSERT INTO t (a) VALUES ($1) ON CONFLICT DO UPDATE SET a = $2", 2),
            ("INSERT INTO t (a) VALUES ($1), ($2)", 2),
            ("INSERT INTO t (a) VALUES ($1", 1),
            ("UPDATE t SET a = $1", 1),
        ] {
            from_arrays(sql, parameters).expect_err(sql);
        }
    }
}
