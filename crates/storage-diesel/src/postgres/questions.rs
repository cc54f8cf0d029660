//! Questions that are asked all at once: they cost one way to the server, not one each.

use std::marker::PhantomData;

use diesel::deserialize::{self, FromSqlRow};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AsQuery, QueryFragment};
use diesel::query_dsl::CompatibleType;
use diesel::result::Error;

use super::asked::Asked;
use super::row::Row;

/// Questions, which the server answers in their order.
#[derive(Default)]
pub(super) struct Questions {
    pub(super) asked: Vec<Asked>,
}

/// A question that is answered with rows of `U`.
pub(super) struct Question<U> {
    place: usize,
    read: fn(&Row) -> deserialize::Result<U>,
    answer: PhantomData<U>,
}

/// The answers to questions.
pub(super) struct Answers(pub(super) Vec<Vec<Row>>);

impl Questions {
    /// Ask this as well.
    pub(super) fn add<U, Q>(&mut self, query: Q) -> QueryResult<Question<U>>
    where
        Q: AsQuery<Query: QueryFragment<Pg>, SqlType: CompatibleType<U, Pg>>,
        U: FromSqlRow<<Q::SqlType as CompatibleType<U, Pg>>::SqlType, Pg>,
    {
        self.asked.push(Asked::of(&query.as_query())?);
        Ok(Question { place: self.asked.len() - 1, read: U::build_from_row, answer: PhantomData })
    }
}

impl Answers {
    /// What a question was answered with.
    pub(super) fn to<U>(&self, question: &Question<U>) -> QueryResult<Vec<U>> {
        let rows = self.0.get(question.place).map(Vec::as_slice).unwrap_or_default();
        rows.iter().map(|row| (question.read)(row).map_err(Error::DeserializationError)).collect()
    }
}
