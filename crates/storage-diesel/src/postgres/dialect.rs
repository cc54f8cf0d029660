//! What PostgreSQL says differently: row locks, and functions of its own.

use std::future::{Ready, ready};

use diesel::dsl::sql;
use diesel::expression::BoxableExpression;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel_async::RunQueryDsl;
use pinrail_domain::{NodeId, RootState};

use super::Conn;
use super::found::take_keys;
pub(super) use super::found::{lock_accounts_of, lock_roots, lock_roots_of, look_up};
use super::matching::Condition;
use super::together::Together;
use crate::error::Step;
use crate::rows::{AccountRow, NewRoot, RequestRow, Root, SORTED, State};
use crate::schema::{accounts, pin_meta, pin_requests, roots};
use crate::transfer::rows::{PinMeta, Queued};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Where `needle` begins in `haystack`, from 1; 0 when it is not there. Unlike LIKE it knows no wildcards.
    #[sql_name = "strpos"]
    fn position(haystack: Nullable<Text>, needle: Text) -> Nullable<Integer>;
}

/// The index for parts of names knows them by three characters in a row, so it finds nothing shorter.
const FOUND_BY_INDEX: usize = 3;

/// The requests whose names hold a text. What a name holds, its folded form holds folded: the index finds that.
pub(super) fn name_holds(text: &str, folded: String) -> Condition<'_> {
    Box::new(folded_name_holds(folded).and(position(pin_requests::name, text).gt(0)))
}

/// The requests whose folded names hold a folded text: those of a pattern that an index can find, with its wildcards
/// taken as what they are.
pub(super) fn folded_name_holds<'a>(folded: String) -> Condition<'a> {
    if folded.chars().count() < FOUND_BY_INDEX {
        return Box::new(position(pin_requests::folded_name, folded).gt(0));
    }
    let pattern = folded.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    Box::new(pin_requests::folded_name.like(format!("%{pattern}%")))
}

/// Nothing to ask: the server ends a statement by itself when its time is over or its client gives up.
pub(super) fn requests_go_on() -> Box<dyn BoxableExpression<pin_requests::table, Pg, SqlType = Bool>> {
    Box::new(sql("TRUE"))
}

/// Nothing to ask of a read of their meta either.
pub(super) fn pairs_go_on() -> Box<dyn BoxableExpression<pin_meta::table, Pg, SqlType = Bool>> {
    Box::new(sql("TRUE"))
}

/// An account's row, locked until the transaction ends.
pub(super) async fn lock_account(conn: &mut Conn, id: &[u8]) -> QueryResult<AccountRow> {
    accounts::table
        .filter(accounts::id.eq(id))
        .select(AccountRow::as_select())
        .for_no_key_update()
        .get_result(conn)
        .await
}

/// Whoever takes or ends leases of a node waits until this transaction ends: both read several rows before they write,
/// and would each see a part of what the other does.
pub(super) async fn lock_leases(conn: &mut Conn, node: &NodeId) -> QueryResult<()> {
    // The lower half of the id is random, so an advisory lock for something else is another one.
    let lock = format!("pg_advisory_xact_lock({})::text", node.as_uuid().as_u64_pair().1.cast_signed());
    diesel::select(sql::<Text>(&lock)).load::<String>(conn).await.map(drop)
}

/// The rows of those of the roots that are there, locked in the order of their keys until the transaction ends.
pub(super) async fn lock_each(conn: &mut Conn, keys: Vec<i64>) -> QueryResult<Vec<Root>> {
    let rows = roots::table.filter(roots::key.eq_any(keys)).order(roots::key + SORTED);
    rows.select(Root::as_select()).for_no_key_update().load(conn).await
}

/// The next root whose state is to be carried to further requests, locked until the transaction ends; those that
/// another transaction has are left to it.
pub(super) async fn claim_to_copy(conn: &mut Conn) -> QueryResult<Root> {
    let behind = roots::table.filter(roots::copied_account.is_not_null()).order(roots::copied_account);
    behind.select(Root::as_select()).limit(1).for_no_key_update().skip_locked().get_result(conn).await
}

/// Make a root's row, later and with others; its key.
pub(super) async fn write_root(conn: &mut Conn, row: NewRoot) -> QueryResult<i64> {
    if conn.batch().keys.is_empty() {
        take_keys(conn, 1).await?;
    }
    conn.batch().make_root(row).ok_or(diesel::result::Error::NotFound)
}

/// Insert a request's row, later and with others.
pub(super) fn write_request(conn: &mut Conn, row: RequestRow) -> Ready<QueryResult<()>> {
    ready(conn.batch().add_request(row))
}

/// Insert a pair of a request's meta, later and with others.
pub(super) fn write_meta(conn: &mut Conn, row: PinMeta) -> Ready<QueryResult<()>> {
    ready(conn.batch().add_meta(row))
}

/// Count a request in an account's queue, later and with others. A row that the step has counted in is known to it
/// because it has asked for it since, which wrote it.
pub(super) fn write_queued(conn: &mut Conn, row: Queued) -> Ready<QueryResult<()>> {
    ready(conn.batch().add_queued(row))
}

/// Run a query for its effect, later and with others: at the latest before anything else is asked or committed.
pub(super) fn write_later<Q: QueryFragment<Pg>>(conn: &mut Conn, query: Q) -> Ready<QueryResult<()>> {
    ready(conn.put_off(&query))
}

/// Run inserts or updates of a row each, whose values alone differ, later and together.
pub(super) fn write_each<Q: QueryFragment<Pg>>(
    conn: &mut Conn,
    mut queries: impl Iterator<Item = Q>,
) -> Ready<QueryResult<()>> {
    let mut together = Together::default();
    let added = queries.try_for_each(|query| together.add(&query));
    ready(added.and_then(|()| conn.put_off_together(&mut together)))
}

/// A root's row, locked until the transaction ends.
pub(super) async fn lock_root(conn: &mut Conn, key: i64) -> QueryResult<Root> {
    roots::table.find(key).select(Root::as_select()).for_no_key_update().get_result(conn).await
}

/// The row of the root with this codec and multihash, locked until the transaction ends.
pub(super) async fn find_root(conn: &mut Conn, codec: i64, multihash: &[u8]) -> QueryResult<Root> {
    let row = roots::table.filter(roots::codec.eq(codec)).filter(roots::multihash.eq(multihash));
    row.select(Root::as_select()).for_no_key_update().get_result(conn).await
}

/// A root's row for a lease, locked until the transaction ends; not found while another transaction has it.
pub(super) async fn claim_root(conn: &mut Conn, key: i64) -> QueryResult<Root> {
    roots::table.find(key).select(Root::as_select()).for_no_key_update().skip_locked().get_result(conn).await
}

/// Roots to fetch whose lease has expired, locked until the transaction ends; those that another transaction has are
/// left to it.
pub(super) async fn claim_expired(conn: &mut Conn, now: i64) -> QueryResult<Vec<Root>> {
    let expired = roots::table
        .filter(roots::lease_token.is_not_null())
        .filter(roots::lease_until.le(now))
        .filter(roots::state.eq(State(RootState::Pinning)));
    expired.select(Root::as_select()).for_no_key_update().skip_locked().load(conn).await
}

/// Accounts in the order of their names' bytes, whatever the database's collation.
pub(super) async fn accounts_by_name(conn: &mut Conn, after: Option<&str>, limit: i64) -> QueryResult<Vec<AccountRow>> {
    let name = || sql::<Text>("name COLLATE \"C\"");
    let mut rows = accounts::table.select(AccountRow::as_select()).order(name()).limit(limit).into_boxed();
    if let Some(after) = after {
        rows = rows.filter(name().gt(after));
    }
    rows.load(conn).await
}

/// Whether the rules by which the server sorts text have changed since the database was made, as an upgrade of the
/// operating system changes them. Columns that indices sort have rules of their own that never change, but what the index
/// for parts of names takes for a letter is up to the system.
const OUTDATED: &str = "(SELECT format('the rules for sorting text came to version %s from %s, by an upgrade of the \
    server''s system: run REINDEX DATABASE CONCURRENTLY %I and then ALTER DATABASE %I REFRESH COLLATION VERSION, as \
    the owner of the database', pg_database_collation_actual_version(oid), datcollversion, datname, datname) \
    FROM pg_database WHERE datname = current_database() \
    AND datcollversion <> pg_database_collation_actual_version(oid))";

/// What to do about rules for sorting text that have changed, if they have.
pub(super) async fn outdated_collation(conn: &mut Conn) -> QueryResult<Option<String>> {
    diesel::select(sql::<Nullable<Text>>(OUTDATED)).get_result(conn).await
}

/// Ten random bytes for each of so many leases' tokens: those of a UUID that stand in none of its fixed bits.
pub(super) async fn random_bytes(conn: &mut Conn, many: i64) -> QueryResult<Vec<Vec<u8>>> {
    let uuid = "substr(uuid_send(gen_random_uuid()), 1, 6) || substr(uuid_send(gen_random_uuid()), 10, 4) \
        FROM generate_series(1, ";
    diesel::select(sql::<Binary>(uuid).bind::<BigInt, _>(many).sql(")")).load(conn).await
}

/// The bytes of the database's files.
pub(super) async fn database_bytes(conn: &mut Conn) -> QueryResult<i64> {
    diesel::select(sql::<BigInt>("pg_database_size(current_database())")).get_result(conn).await
}

/// Whether an account waits for roots, as the index of those that do is told it.
pub(super) fn waits() -> diesel::expression::SqlLiteral<Bool> {
    sql("accounts.waiting")
}

/// The status of a request; PostgreSQL knows how frequent each is and chooses its index itself.
pub(super) fn status_word() -> diesel::expression::SqlLiteral<Text> {
    sql("pin_requests.status")
}

/// Whether there is an index for parts of names.
pub(super) async fn finds_parts_of_names(conn: &mut Conn) -> Step<bool> {
    let is_there = sql::<Bool>("to_regclass('pin_requests_name_parts') IS NOT NULL");
    Ok(diesel::select(is_there).get_result(conn).await?)
}
