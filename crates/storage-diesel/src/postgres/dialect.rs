//! What PostgreSQL says differently: row locks, and functions of its own.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::Conn;
use crate::rows::{AccountRow, Root};
use crate::schema::{accounts, roots};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Where `needle` begins in `haystack`, from 1; 0 when it is not there. Unlike LIKE it knows no wildcards.
    #[sql_name = "strpos"]
    fn position(haystack: Nullable<Text>, needle: Text) -> Nullable<Integer>;
}

/// An account's row, locked until the transaction ends.
pub(super) async fn lock_account(conn: &mut Conn, id: &[u8]) -> QueryResult<AccountRow> {
    accounts::table.filter(accounts::id.eq(id)).select(AccountRow::as_select()).for_update().get_result(conn).await
}

/// A root's row, locked until the transaction ends.
pub(super) async fn lock_root(conn: &mut Conn, key: i64) -> QueryResult<Root> {
    roots::table.find(key).select(Root::as_select()).for_update().get_result(conn).await
}

/// The row of the root with this codec and multihash, locked until the transaction ends.
pub(super) async fn find_root(conn: &mut Conn, codec: i64, multihash: &[u8]) -> QueryResult<Root> {
    let row = roots::table.filter(roots::codec.eq(codec)).filter(roots::multihash.eq(multihash));
    row.select(Root::as_select()).for_update().get_result(conn).await
}

/// A root's row for a lease, locked until the transaction ends; not found while another transaction has it.
pub(super) async fn claim_root(conn: &mut Conn, key: i64) -> QueryResult<Root> {
    roots::table.find(key).select(Root::as_select()).for_update().skip_locked().get_result(conn).await
}

/// Accounts in the order of their names' bytes, whatever the database's collation.
pub(super) async fn accounts_by_name(conn: &mut Conn, after: Option<&str>, limit: i64) -> QueryResult<Vec<AccountRow>> {
    let name = || diesel::dsl::sql::<Text>("name COLLATE \"C\"");
    let mut rows = accounts::table.select(AccountRow::as_select()).order(name()).limit(limit).into_boxed();
    if let Some(after) = after {
        rows = rows.filter(name().gt(after));
    }
    rows.load(conn).await
}

/// Ten random bytes for a lease's token: those of a UUID that stand in none of its fixed bits.
pub(super) async fn random_bytes(conn: &mut Conn) -> QueryResult<Vec<u8>> {
    let uuid = "substr(uuid_send(gen_random_uuid()), 1, 6) || substr(uuid_send(gen_random_uuid()), 10, 4)";
    diesel::select(diesel::dsl::sql::<Binary>(uuid)).get_result(conn).await
}

/// The status of a request; PostgreSQL knows how frequent each is and chooses its index itself.
pub(super) fn status_word() -> diesel::expression::SqlLiteral<Text> {
    diesel::dsl::sql("pin_requests.status")
}
