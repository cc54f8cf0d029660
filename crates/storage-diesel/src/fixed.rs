//! Queries whose text never changes, so that it is made once.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;

/// A query that stands in one place and always has the same text, whatever its binds.
///
/// Diesel finds the prepared statement of a query by its type where the type says the text. Of updates and upserts it
/// does not, since in general a changeset may leave columns out: it makes their text anew each time, which costs more
/// than running them. `At` is a type of the place's own that stands for the text.
pub(crate) struct Fixed<At, Q> {
    query: Q,
    place: PhantomData<fn(At)>,
}

/// Say that `query` always has the same text. `At` must stand nowhere else.
pub(crate) const fn fixed<At: 'static, Q>(query: Q) -> Fixed<At, Q> {
    Fixed { query, place: PhantomData }
}

impl<At: 'static, Q> QueryId for Fixed<At, Q> {
    type QueryId = At;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<At, Q: Query> Query for Fixed<At, Q> {
    type SqlType = Q::SqlType;
}

impl<At, Q: QueryFragment<DB>, DB: Backend> QueryFragment<DB> for Fixed<At, Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}
