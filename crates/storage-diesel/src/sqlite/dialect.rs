//! What SQLite says differently: locks that a single writer does not need, and functions of its own.

use std::collections::BTreeSet;
use std::future::{Ready, ready};

use diesel::dsl::{max, sql};
use diesel::expression::BoxableExpression;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;
use pinrail_domain::{NodeId, RootState};

use super::interrupt::goes_on;
use super::queries::pin_filters::Condition;
use super::queries::unit_of_work::RootsToLock;
pub(crate) use super::writes::{
    add_counts, insert_meta, insert_requests, insert_roots, update_places, update_roots, update_statuses, update_usage,
    upsert_claims,
};
use super::{Conn, RunQueryDsl};
use crate::rows::{AccountRow, RootRow, State};
use crate::schema::{accounts, holds, pin_meta, pin_requests, roots};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Where `needle` begins in `haystack`, from 1; 0 when it is not there. Unlike LIKE it knows no wildcards and
    /// takes upper and lower case as different.
    #[sql_name = "instr"]
    fn position(haystack: Nullable<Text>, needle: Text) -> Nullable<Integer>;
}

/// The requests whose names hold a text.
pub(crate) fn name_holds(text: &str, _folded: String) -> Condition<'_> {
    Box::new(position(pin_requests::name, text).gt(0))
}

/// The requests whose folded names hold a folded text.
pub(crate) fn folded_name_holds<'a>(folded: String) -> Condition<'a> {
    Box::new(position(pin_requests::folded_name, folded).gt(0))
}

/// Whether a read of requests goes on, asked for some of the rows: asking costs as much as looking for a part of a name.
/// The number is a prime, so that no rhythm of times misses it.
pub(crate) fn requests_go_on() -> Box<dyn BoxableExpression<pin_requests::table, Sqlite, SqlType = Bool>> {
    Box::new(sql::<BigInt>("pin_requests.created % 61").ne(0).or(goes_on(pin_requests::created)))
}

/// The same of a read of their meta.
pub(crate) fn pairs_go_on() -> Box<dyn BoxableExpression<pin_meta::table, Sqlite, SqlType = Bool>> {
    Box::new(sql::<BigInt>("pin_meta.created % 61").ne(0).or(goes_on(pin_meta::created)))
}

/// Rows of accounts. The writer holds the lock of the whole database.
pub(crate) async fn lock_accounts(conn: &mut Conn, ids: BTreeSet<Vec<u8>>) -> QueryResult<Vec<AccountRow>> {
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        let row = accounts::table.filter(accounts::id.eq(id)).select(AccountRow::as_select());
        rows.extend(row.get_result(conn).await.optional()?);
    }
    Ok(rows)
}

/// The rows of those of the roots that exist. The writer holds the lock of the whole database.
pub(crate) async fn lock_roots(conn: &mut Conn, wanted: &RootsToLock) -> QueryResult<Vec<RootRow>> {
    let mut rows = Vec::with_capacity(wanted.names.len() + wanted.keys.len());
    for (codec, multihash) in &wanted.names {
        let row = roots::table.filter(roots::codec.eq(codec)).filter(roots::multihash.eq(multihash));
        rows.extend(row.select(RootRow::as_select()).get_result(conn).await.optional()?);
    }
    let mut keys = wanted.keys.clone();
    if wanted.with_held {
        let awaited: Vec<i64> = rows.iter().map(|row| row.key).chain(keys.iter().copied()).collect();
        let held = holds::table.filter(any_of("holds.awaited", &awaited)).select(holds::root);
        keys.extend(held.load::<i64>(conn).await?);
    }
    if let Some(owner) = &wanted.owner {
        let held = holds::table.filter(holds::owner.eq(owner)).select(holds::root);
        keys.extend(held.load::<i64>(conn).await?);
    }
    for row in &rows {
        keys.remove(&row.key);
    }
    for key in keys {
        rows.extend(claim_root(conn, key).await.optional()?);
    }
    Ok(rows)
}

/// Keys for roots that are to be made.
pub(crate) async fn new_root_keys(conn: &mut Conn, many: usize) -> QueryResult<Vec<i64>> {
    let greatest: Option<i64> = roots::table.select(max(roots::key)).get_result(conn).await?;
    Ok((greatest.unwrap_or(0) + 1..).take(many).collect())
}

/// The rows whose column is one of `keys`, as one text for any number of them.
pub(crate) fn any_of<T>(column: &str, keys: &[i64]) -> Box<dyn BoxableExpression<T, Sqlite, SqlType = Bool>> {
    let keys = serde_json::Value::from(keys).to_string();
    Box::new(sql::<Bool>(column).sql(" IN (SELECT value FROM json_each(").bind::<Text, _>(keys).sql("))"))
}

/// The next root whose state is to be carried to further requests. There is nobody to skip.
pub(crate) async fn claim_to_copy(conn: &mut Conn) -> QueryResult<RootRow> {
    let behind = roots::table.filter(roots::copied_account.is_not_null()).order(roots::copied_account);
    behind.select(RootRow::as_select()).first(conn).await
}

/// A root's row for a lease. There is nobody to skip: the writer holds the lock of the whole database.
pub(crate) async fn claim_root(conn: &mut Conn, key: i64) -> QueryResult<RootRow> {
    roots::table.find(key).select(RootRow::as_select()).get_result(conn).await
}

/// Roots to fetch whose lease has expired. There is nobody to skip.
pub(crate) async fn claim_expired(conn: &mut Conn, now: i64) -> QueryResult<Vec<RootRow>> {
    let expired = roots::table
        .filter(roots::lease_token.is_not_null())
        .filter(roots::lease_until.le(now))
        .filter(roots::state.eq(State(RootState::Pinning)));
    expired.select(RootRow::as_select()).load(conn).await
}

/// Nothing: the writer holds the lock of the whole database.
pub(crate) fn lock_leases(_conn: &mut Conn, _node: &NodeId) -> Ready<QueryResult<()>> {
    ready(Ok(()))
}

/// Nothing: the writer holds the lock of the whole database.
pub(crate) fn lock_accounts_of(_conn: &mut Conn, _roots: &RootsToLock) -> Ready<QueryResult<()>> {
    ready(Ok(()))
}

/// Accounts in the order of their names' bytes, which is SQLite's own.
pub(crate) async fn accounts_by_name(conn: &mut Conn, after: Option<&str>, limit: i64) -> QueryResult<Vec<AccountRow>> {
    let mut rows = accounts::table.select(AccountRow::as_select()).order(accounts::name).limit(limit).into_boxed();
    if let Some(after) = after {
        rows = rows.filter(accounts::name.gt(after));
    }
    rows.load(conn).await
}

/// Ten random bytes for each of so many leases' tokens.
pub(crate) async fn random_bytes(conn: &mut Conn, many: i64) -> QueryResult<Vec<Vec<u8>>> {
    let all = sql::<Binary>("randomblob(10 * ").bind::<BigInt, _>(many).sql(")");
    let all: Vec<u8> = diesel::select(all).get_result(conn).await?;
    Ok(all.chunks(10).map(<[u8]>::to_vec).collect())
}

/// The bytes of the database's file.
pub(crate) async fn database_bytes(conn: &mut Conn) -> QueryResult<i64> {
    let bytes = "(SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)";
    diesel::select(sql::<BigInt>(bytes)).get_result(conn).await
}

/// Whether an account waits for roots, as the index of those that do is told it.
pub(crate) fn waits() -> diesel::expression::SqlLiteral<Bool> {
    sql("accounts.used_queued_roots > 0")
}

/// The status of a request as a plain expression, which no index fits.
pub(crate) fn status_word() -> diesel::expression::SqlLiteral<Text> {
    sql("+pin_requests.status")
}
