//! What PostgreSQL says differently: row locks, and functions of its own.

use std::collections::BTreeSet;

use diesel::dsl::sql;
use diesel::expression::BoxableExpression;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};
use diesel_async::RunQueryDsl;
use pinrail_domain::{NodeId, RootState};

use super::Conn;
use super::queries::pin_filters::Condition;
use super::queries::unit_of_work::RootsToLock;
pub(crate) use super::writes::{
    add_counts, insert_meta, insert_requests, insert_roots, update_places, update_roots, update_statuses, update_usage,
    upsert_claims,
};
use crate::error::TxResult;
use crate::rows::{AccountRow, RootRow, State};
use crate::schema::{accounts, pin_meta, pin_requests, roots};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Where `needle` begins in `haystack`, from 1; 0 when it is not there. Unlike LIKE it knows no wildcards.
    #[sql_name = "strpos"]
    fn position(haystack: Nullable<Text>, needle: Text) -> Nullable<Integer>;
}

/// The index for parts of names knows them by three characters in a row, so it finds nothing shorter.
const FOUND_BY_INDEX: usize = 3;

/// The requests whose names hold a text. What a name holds, its folded form holds folded: the index finds that.
pub(crate) fn name_holds(text: &str, folded: String) -> Condition<'_> {
    Box::new(folded_name_holds(folded).and(position(pin_requests::name, text).gt(0)))
}

/// The requests whose folded names hold a folded text: those of a pattern that an index can find, with its wildcards
/// taken as what they are.
pub(crate) fn folded_name_holds<'a>(folded: String) -> Condition<'a> {
    if folded.chars().count() < FOUND_BY_INDEX {
        return Box::new(position(pin_requests::folded_name, folded).gt(0));
    }
    let pattern = folded.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    Box::new(pin_requests::folded_name.like(format!("%{pattern}%")))
}

/// Nothing to ask: the server ends a statement by itself when its time is over or its client gives up.
pub(crate) fn requests_go_on() -> Box<dyn BoxableExpression<pin_requests::table, Pg, SqlType = Bool>> {
    Box::new(sql("TRUE"))
}

/// Nothing to ask of a read of their meta either.
pub(crate) fn pairs_go_on() -> Box<dyn BoxableExpression<pin_meta::table, Pg, SqlType = Bool>> {
    Box::new(sql("TRUE"))
}

/// Rows of accounts, locked in the order of their keys until the transaction ends.
pub(crate) async fn lock_accounts(conn: &mut Conn, ids: BTreeSet<Vec<u8>>) -> QueryResult<Vec<AccountRow>> {
    let rows = accounts::table.filter(accounts::id.eq_any(ids)).order(accounts::key);
    rows.select(AccountRow::as_select()).for_no_key_update().load(conn).await
}

/// Whoever takes or ends leases of a node waits until this transaction ends: both read several rows before they write,
/// and would each see a part of what the other does.
pub(crate) async fn lock_leases(conn: &mut Conn, node: &NodeId) -> QueryResult<()> {
    // The lower half of the id is random, so an advisory lock for something else is another one.
    let lock = format!("pg_advisory_xact_lock({})::text", node.as_uuid().as_u64_pair().1.cast_signed());
    diesel::select(sql::<Text>(&lock)).load::<String>(conn).await.map(drop)
}

/// What stands around the names and keys of roots, whether those held until one of them is pinned are meant too, and an
/// owner of holds, in a condition on all of these roots.
const WANTED: [&str; 5] = [
    "roots.key = ANY(ARRAY(WITH wanted (key) AS (SELECT named.key FROM unnest(",
    ", ",
    ") AS names (codec, multihash) JOIN roots AS named USING (codec, multihash) UNION SELECT unnest(",
    ")) SELECT key FROM wanted UNION SELECT holds.root FROM holds JOIN wanted ON holds.awaited = wanted.key WHERE ",
    " UNION SELECT holds.root FROM holds WHERE holds.owner = ",
];

/// The rows of those of the roots that exist, locked in the order of their keys until the transaction ends.
pub(crate) async fn lock_roots(conn: &mut Conn, wanted: &RootsToLock) -> QueryResult<Vec<RootRow>> {
    let (codecs, multihashes): (Vec<i64>, Vec<&[u8]>) =
        wanted.names.iter().map(|(codec, multihash)| (*codec, multihash.as_slice())).unzip();
    let keys: Vec<i64> = wanted.keys.iter().copied().collect();
    let condition = sql::<Bool>(WANTED[0])
        .bind::<Array<BigInt>, _>(codecs)
        .sql(WANTED[1])
        .bind::<Array<Binary>, _>(multihashes)
        .sql(WANTED[2])
        .bind::<Array<BigInt>, _>(keys)
        .sql(WANTED[3])
        .bind::<Bool, _>(wanted.with_held)
        .sql(WANTED[4])
        .bind::<Nullable<Binary>, _>(wanted.owner.as_deref())
        .sql("))");
    let rows = roots::table.filter(condition).order(roots::key).select(RootRow::as_select());
    rows.for_no_key_update().load(conn).await
}

/// Lock the accounts that want these roots, in the order of their keys, until the transaction ends: a step that will
/// count for them must not hold a root that one of their own steps waits for.
pub(crate) async fn lock_accounts_of(conn: &mut Conn, roots: &RootsToLock) -> QueryResult<()> {
    let (codecs, multihashes): (Vec<i64>, Vec<&[u8]>) =
        roots.names.iter().map(|(codec, multihash)| (*codec, multihash.as_slice())).unzip();
    let keys: Vec<i64> = roots.keys.iter().copied().collect();
    let waiting = sql::<Bool>(
        "accounts.key IN (SELECT queue.account FROM queue WHERE queue.root IN (SELECT named.key FROM unnest(",
    )
    .bind::<Array<BigInt>, _>(codecs)
    .sql(", ")
    .bind::<Array<Binary>, _>(multihashes)
    .sql(") AS names (codec, multihash) JOIN roots AS named USING (codec, multihash) UNION SELECT unnest(")
    .bind::<Array<BigInt>, _>(keys)
    .sql(")))");
    let rows = accounts::table.filter(waiting).order(accounts::key).select(accounts::key);
    rows.for_no_key_update().load::<i64>(conn).await.map(drop)
}

/// Keys for roots that are to be made.
pub(crate) async fn new_root_keys(conn: &mut Conn, many: usize) -> QueryResult<Vec<i64>> {
    let next = sql::<BigInt>("nextval('roots_key_seq') FROM generate_series(1, ");
    let many = i64::try_from(many).unwrap_or(i64::MAX);
    diesel::select(next.bind::<BigInt, _>(many).sql(")")).load(conn).await
}

/// The rows whose column is one of `keys`, as one text for any number of them.
pub(crate) fn any_of<T>(column: &str, keys: &[i64]) -> Box<dyn BoxableExpression<T, Pg, SqlType = Bool>> {
    Box::new(sql::<Bool>(column).sql(" = ANY(").bind::<Array<BigInt>, _>(keys.to_vec()).sql(")"))
}

/// The next root whose state is to be carried to further requests, locked until the transaction ends; those that
/// another transaction has are left to it.
pub(crate) async fn claim_to_copy(conn: &mut Conn) -> QueryResult<RootRow> {
    let behind = roots::table.filter(roots::copied_account.is_not_null()).order(roots::copied_account);
    behind.select(RootRow::as_select()).limit(1).for_no_key_update().skip_locked().get_result(conn).await
}

/// A root's row for a lease, locked until the transaction ends; not found while another transaction has it.
pub(crate) async fn claim_root(conn: &mut Conn, key: i64) -> QueryResult<RootRow> {
    roots::table.find(key).select(RootRow::as_select()).for_no_key_update().skip_locked().get_result(conn).await
}

/// Roots to fetch whose lease has expired, locked until the transaction ends; those that another transaction has are
/// left to it.
pub(crate) async fn claim_expired(conn: &mut Conn, now: i64) -> QueryResult<Vec<RootRow>> {
    let expired = roots::table
        .filter(roots::lease_token.is_not_null())
        .filter(roots::lease_until.le(now))
        .filter(roots::state.eq(State(RootState::Pinning)));
    expired.select(RootRow::as_select()).for_no_key_update().skip_locked().load(conn).await
}

/// Accounts in the order of their names' bytes, whatever the database's collation.
pub(crate) async fn accounts_by_name(conn: &mut Conn, after: Option<&str>, limit: i64) -> QueryResult<Vec<AccountRow>> {
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
pub(crate) async fn outdated_collation(conn: &mut Conn) -> QueryResult<Option<String>> {
    diesel::select(sql::<Nullable<Text>>(OUTDATED)).get_result(conn).await
}

/// Ten random bytes for each of so many leases' tokens: those of a UUID that stand in none of its fixed bits.
pub(crate) async fn random_bytes(conn: &mut Conn, many: i64) -> QueryResult<Vec<Vec<u8>>> {
    let uuid = "substr(uuid_send(gen_random_uuid()), 1, 6) || substr(uuid_send(gen_random_uuid()), 10, 4) \
        FROM generate_series(1, ";
    diesel::select(sql::<Binary>(uuid).bind::<BigInt, _>(many).sql(")")).load(conn).await
}

/// The bytes of the database's files.
pub(crate) async fn database_bytes(conn: &mut Conn) -> QueryResult<i64> {
    diesel::select(sql::<BigInt>("pg_database_size(current_database())")).get_result(conn).await
}

/// Whether an account waits for roots, as the index of those that do is told it.
pub(crate) fn waits() -> diesel::expression::SqlLiteral<Bool> {
    sql("accounts.waiting")
}

/// The status of a request; PostgreSQL knows how frequent each is and chooses its index itself.
pub(crate) fn status_word() -> diesel::expression::SqlLiteral<Text> {
    sql("pin_requests.status")
}

/// Whether there is an index for parts of names.
pub(crate) async fn finds_parts_of_names(conn: &mut Conn) -> TxResult<bool> {
    let is_there = sql::<Bool>("to_regclass('pin_requests_name_parts') IS NOT NULL");
    Ok(diesel::select(is_there).get_result(conn).await?)
}
