//! What SQLite says differently: locks that a single writer does not need, and functions of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Ready, ready};

use diesel::dsl::sql;
use diesel::expression::BoxableExpression;
use diesel::prelude::*;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel::upsert::excluded;
use pinrail_domain::{NodeId, RootState};
use pinrail_spec::RootKey;

use super::interrupt::goes_on;
use super::known::{self, Found, Name};
use super::matching::Condition;
use super::{Conn, RunQueryDsl, nodes};
use crate::fixed::fixed;
use crate::rows::{AccountRow, NewRoot, RequestRow, Root, State};
use crate::schema::{accounts, pin_meta, pin_requests, queue, roots, service};
use crate::transfer::rows::{PinMeta, Queued};
use crate::written::upsert_queued;

#[diesel::declare_sql_function]
extern "SQL" {
    /// Where `needle` begins in `haystack`, from 1; 0 when it is not there. Unlike LIKE it knows no wildcards and
    /// takes upper and lower case as different.
    #[sql_name = "instr"]
    fn position(haystack: Nullable<Text>, needle: Text) -> Nullable<Integer>;

    /// The greater of two numbers.
    #[sql_name = "max"]
    fn greatest(one: BigInt, other: BigInt) -> BigInt;
}

/// The requests whose names hold a text.
pub(super) fn name_holds(text: &str, _folded: String) -> Condition<'_> {
    Box::new(position(pin_requests::name, text).gt(0))
}

/// The requests whose folded names hold a folded text.
pub(super) fn folded_name_holds<'a>(folded: String) -> Condition<'a> {
    Box::new(position(pin_requests::folded_name, folded).gt(0))
}

/// Whether a read of requests goes on, asked for some of the rows: asking costs as much as looking for a part of a name.
/// The number is a prime, so that no rhythm of times misses it.
pub(super) fn requests_go_on() -> Box<dyn BoxableExpression<pin_requests::table, Sqlite, SqlType = Bool>> {
    Box::new(sql::<BigInt>("pin_requests.created % 61").ne(0).or(goes_on(pin_requests::created)))
}

/// The same of a read of their meta.
pub(super) fn pairs_go_on() -> Box<dyn BoxableExpression<pin_meta::table, Sqlite, SqlType = Bool>> {
    Box::new(sql::<BigInt>("pin_meta.created % 61").ne(0).or(goes_on(pin_meta::created)))
}

/// An account's row. The writer holds the lock of the whole database.
pub(super) async fn lock_account(conn: &mut Conn, id: &[u8]) -> QueryResult<AccountRow> {
    accounts::table.filter(accounts::id.eq(id)).select(AccountRow::as_select()).get_result(conn).await
}

/// What adding requests has to know. The writer holds the lock of the whole database, so each root is found when its
/// turn comes, and its key is chosen where it is made.
pub(super) async fn look_up(conn: &mut Conn, ids: BTreeSet<Vec<u8>>, _wanted: impl Iterator) -> QueryResult<Found> {
    let mut accounts = Vec::with_capacity(ids.len());
    for id in ids {
        accounts.extend(lock_account(conn, &id).await.optional()?);
    }
    Ok(Found { accounts, roots: BTreeMap::new(), nodes: nodes::rows().load(conn).await? })
}

/// None of them: the writer holds the lock of the whole database, and each is found when its turn comes.
pub(super) fn lock_roots(_conn: &mut Conn, _wanted: impl Iterator) -> Ready<QueryResult<BTreeMap<Name, Option<Root>>>> {
    ready(Ok(BTreeMap::new()))
}

/// The root of a request that goes, and that of the one that replaces it if it is there. The writer holds the lock of
/// the whole database.
pub(super) async fn lock_roots_of(
    conn: &mut Conn,
    request: &RequestRow,
    new: Option<&RootKey>,
) -> QueryResult<Vec<Root>> {
    let mut rows = vec![lock_root(conn, request.root).await?];
    if let Some((codec, multihash)) = new.cloned().map(known::name) {
        rows.extend(find_root(conn, codec, &multihash).await.optional()?);
    }
    Ok(rows)
}

/// The rows of those of the roots that are there. The writer holds the lock of the whole database.
pub(super) async fn lock_each(conn: &mut Conn, keys: Vec<i64>) -> QueryResult<Vec<Root>> {
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        rows.extend(lock_root(conn, key).await.optional()?);
    }
    Ok(rows)
}

/// The next root whose state is to be carried to further requests. There is nobody to skip.
pub(super) async fn claim_to_copy(conn: &mut Conn) -> QueryResult<Root> {
    let behind = roots::table.filter(roots::copied_account.is_not_null()).order(roots::copied_account);
    behind.select(Root::as_select()).first(conn).await
}

/// Make a root's row; its key.
pub(super) async fn write_root(conn: &mut Conn, row: NewRoot) -> QueryResult<i64> {
    enum Make {}
    let NewRoot { codec, multihash, work, epoch_before } = row;
    let key = (roots::codec.eq(codec), roots::multihash.eq(multihash));
    // Above that of every root whose row went.
    let epoch = service::table.select(greatest(service::released_epoch, epoch_before)).single_value();
    let epoch = roots::epoch.eq(epoch.assume_not_null() + 1);
    let insert = diesel::insert_into(roots::table).values((key, work, epoch));
    fixed::<Make, _>(insert.returning(roots::key)).get_result(conn).await
}

/// Insert a request's row.
pub(super) fn write_request(conn: &mut Conn, row: RequestRow) -> Ready<QueryResult<()>> {
    write_later(conn, diesel::insert_into(pin_requests::table).values(row))
}

/// Insert a pair of a request's meta.
pub(super) fn write_meta(conn: &mut Conn, row: PinMeta) -> Ready<QueryResult<()>> {
    write_later(conn, diesel::insert_into(pin_meta::table).values(row))
}

/// Count a request in an account's queue.
pub(super) fn write_queued(conn: &mut Conn, row: Queued) -> Ready<QueryResult<()>> {
    enum Queue {}
    write_later(conn, fixed::<Queue, _>(upsert_queued!(row)))
}

/// Run a query for its effect: there is no way to the database that could be saved.
pub(super) fn write_later<Q: QueryFragment<Sqlite> + QueryId>(conn: &mut Conn, query: Q) -> Ready<QueryResult<()>> {
    ready(conn.run(&query).map(|_| ()))
}

/// Run inserts or updates of a row each, whose values alone differ.
pub(super) fn write_each<Q: QueryFragment<Sqlite> + QueryId>(
    conn: &mut Conn,
    queries: impl Iterator<Item = Q>,
) -> Ready<QueryResult<()>> {
    let mut written = queries.map(|query| conn.run(&query));
    ready(written.try_for_each(|written| written.map(drop)))
}

/// A root's row. The writer holds the lock of the whole database.
pub(super) async fn lock_root(conn: &mut Conn, key: i64) -> QueryResult<Root> {
    roots::table.find(key).select(Root::as_select()).get_result(conn).await
}

/// The row of the root with this codec and multihash. The writer holds the lock of the whole database.
pub(super) async fn find_root(conn: &mut Conn, codec: i64, multihash: &[u8]) -> QueryResult<Root> {
    let row = roots::table.filter(roots::codec.eq(codec)).filter(roots::multihash.eq(multihash));
    row.select(Root::as_select()).get_result(conn).await
}

/// A root's row for a lease. There is nobody to skip: the writer holds the lock of the whole database.
pub(super) async fn claim_root(conn: &mut Conn, key: i64) -> QueryResult<Root> {
    lock_root(conn, key).await
}

/// Roots to fetch whose lease has expired. There is nobody to skip.
pub(super) async fn claim_expired(conn: &mut Conn, now: i64) -> QueryResult<Vec<Root>> {
    let expired = roots::table
        .filter(roots::lease_token.is_not_null())
        .filter(roots::lease_until.le(now))
        .filter(roots::state.eq(State(RootState::Pinning)));
    expired.select(Root::as_select()).load(conn).await
}

/// Nothing: the writer holds the lock of the whole database.
pub(super) fn lock_leases(_conn: &mut Conn, _node: &NodeId) -> Ready<QueryResult<()>> {
    ready(Ok(()))
}

/// Nothing: the writer holds the lock of the whole database.
pub(super) fn lock_accounts_of(_conn: &mut Conn, _roots: impl Iterator) -> Ready<QueryResult<()>> {
    ready(Ok(()))
}

/// Accounts in the order of their names' bytes, which is SQLite's own.
pub(super) async fn accounts_by_name(conn: &mut Conn, after: Option<&str>, limit: i64) -> QueryResult<Vec<AccountRow>> {
    let mut rows = accounts::table.select(AccountRow::as_select()).order(accounts::name).limit(limit).into_boxed();
    if let Some(after) = after {
        rows = rows.filter(accounts::name.gt(after));
    }
    rows.load(conn).await
}

/// Ten random bytes for each of so many leases' tokens.
pub(super) async fn random_bytes(conn: &mut Conn, many: i64) -> QueryResult<Vec<Vec<u8>>> {
    let all = sql::<Binary>("randomblob(10 * ").bind::<BigInt, _>(many).sql(")");
    let all: Vec<u8> = diesel::select(all).get_result(conn).await?;
    Ok(all.chunks(10).map(<[u8]>::to_vec).collect())
}

/// The bytes of the database's file.
pub(super) async fn database_bytes(conn: &mut Conn) -> QueryResult<i64> {
    let bytes = "(SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)";
    diesel::select(sql::<BigInt>(bytes)).get_result(conn).await
}

/// Whether an account waits for roots, as the index of those that do is told it.
pub(super) fn waits() -> diesel::expression::SqlLiteral<Bool> {
    sql("accounts.used_queued_roots > 0")
}

/// The status of a request as a plain expression, which no index fits.
pub(super) fn status_word() -> diesel::expression::SqlLiteral<Text> {
    sql("+pin_requests.status")
}
