//! Accounts: added, found, granted access, blocked.

use diesel::prelude::*;
use pinrail_domain::{Access, Account, AccountId, Limits};
use pinrail_spec::Timestamp;
use pinrail_storage::{NewAccount, StorageError};
use serde_json::{Value, json};

use super::audit::{Deed, note};
use super::clock::Clock;
use super::nodes::list_nodes;
use super::{Conn, RunQueryDsl, account_blocking, dialect};
use crate::convert::{id_bytes, role_word, to_column};
use crate::error::{TxError, TxResult};
use crate::rows::AccountRow;
use crate::schema::accounts;

/// Add an account without access.
pub(crate) async fn add_account(conn: &mut Conn, account: &NewAccount, by: &str, now: Timestamp) -> TxResult<Account> {
    let row: AccountRow = diesel::insert_into(accounts::table)
        .values((
            accounts::id.eq(id_bytes(account.id.as_uuid())),
            accounts::name.eq(&account.name),
            accounts::email.eq(account.email.as_deref()),
            accounts::role.eq(role_word(account.role)),
            limit_columns(&account.limits),
            accounts::used_requests.eq(0),
            accounts::used_queued_roots.eq(0),
            accounts::used_bytes.eq(0),
            accounts::last_created.eq(0),
            accounts::next_ordinal.eq(0),
            accounts::created.eq(now.as_millis()),
        ))
        .returning(AccountRow::as_returning())
        .get_result(conn)
        .await
        .map_err(|error| TxError::or_conflict(error, format!("the account {}", account.name)))?;
    let details = json!({ "role": account.role, "email": account.email, "limits": account.limits });
    note(conn, deed(by, "account add", &row, details), now).await?;
    row.account()
}

type LimitColumns = (
    diesel::dsl::Eq<accounts::limit_requests, Option<i64>>,
    diesel::dsl::Eq<accounts::limit_queued_roots, Option<i64>>,
    diesel::dsl::Eq<accounts::limit_bytes, Option<i64>>,
);

fn limit_columns(limits: &Limits) -> LimitColumns {
    (
        accounts::limit_requests.eq(limits.requests.map(to_column)),
        accounts::limit_queued_roots.eq(limits.queued_roots.map(to_column)),
        accounts::limit_bytes.eq(limits.bytes.map(to_column)),
    )
}

/// The key of an account.
pub(crate) async fn account_key(conn: &mut Conn, id: &AccountId) -> TxResult<Option<i64>> {
    let row = accounts::table.filter(accounts::id.eq(id_bytes(id.as_uuid())));
    Ok(row.select(accounts::key).get_result(conn).await.optional()?)
}

/// The account's row, locked until the step ends.
pub(crate) async fn lock_account(conn: &mut Conn, id: &AccountId) -> TxResult<Option<AccountRow>> {
    Ok(dialect::lock_accounts(conn, [id_bytes(id.as_uuid())].into()).await?.pop())
}

/// The account with this id.
pub(crate) async fn find_account(conn: &mut Conn, id: &AccountId) -> TxResult<Option<Account>> {
    let found: Option<AccountRow> = accounts::table
        .filter(accounts::id.eq(id_bytes(id.as_uuid())))
        .select(AccountRow::as_select())
        .get_result(conn)
        .await
        .optional()?;
    found.map(|row| row.account()).transpose()
}

/// The account with this name.
pub(crate) async fn find_account_by_name(conn: &mut Conn, name: &str) -> TxResult<Option<Account>> {
    let found: Option<AccountRow> = accounts::table
        .filter(accounts::name.eq(name))
        .select(AccountRow::as_select())
        .get_result(conn)
        .await
        .optional()?;
    found.map(|row| row.account()).transpose()
}

/// Up to `limit` accounts in the order of their names' bytes, those after `after`.
pub(crate) async fn list_accounts(conn: &mut Conn, after: Option<&str>, limit: u16) -> TxResult<Vec<Account>> {
    let rows: Vec<AccountRow> = dialect::accounts_by_name(conn, after, i64::from(limit)).await?;
    rows.iter().map(AccountRow::account).collect()
}

/// Grant access or withdraw it, and set limits if there are any.
pub(crate) async fn set_access(
    conn: &mut Conn,
    id: &AccountId,
    (access, limits): (Option<&Access>, Option<&Limits>),
    by: &str,
    now: Timestamp,
) -> TxResult<Account> {
    let row = existing(conn, id).await?;
    diesel::update(accounts::table.find(row.key))
        .set((
            accounts::access_since.eq(access.map(|access| access.since.as_millis())),
            accounts::access_by.eq(access.map(|access| access.by.as_str())),
            accounts::access_until.eq(access.and_then(|access| access.until).map(Timestamp::as_millis)),
            accounts::access_withdrawn.eq(withdrawn(&row, access, now)),
        ))
        .execute(conn)
        .await?;
    if let Some(limits) = limits {
        diesel::update(accounts::table.find(row.key)).set(limit_columns(limits)).execute(conn).await?;
    }
    let details = json!({ "access": access, "limits": limits });
    let action = if access.is_some() { "access grant" } else { "access withdraw" };
    note(conn, deed(by, action, &row, details), now).await?;
    existing(conn, id).await?.account()
}

/// When the access of an account was withdrawn, once `access` is all that it has.
fn withdrawn(row: &AccountRow, access: Option<&Access>, now: Timestamp) -> Option<i64> {
    let had_access = row.access_since.is_some();
    if access.is_some() { None } else { had_access.then(|| now.as_millis()).or(row.access_withdrawn) }
}

/// Block with a reason, or unblock.
pub(crate) async fn set_blocked(
    conn: &mut Conn,
    id: &AccountId,
    reason: Option<&str>,
    by: &str,
    now: Timestamp,
) -> TxResult<Account> {
    let now = Clock::read(conn).await?.moment(now);
    // A lease that is being taken for the account must be there to be ended, or see that it is blocked.
    for node in list_nodes(conn).await? {
        dialect::lock_leases(conn, &node.id).await?;
    }
    let row = existing(conn, id).await?;
    diesel::update(accounts::table.find(row.key)).set(accounts::blocked.eq(reason)).execute(conn).await?;
    match (row.blocked.is_some(), reason) {
        (false, Some(_)) => account_blocking::end_fetches(conn, row.key).await?,
        (true, None) => account_blocking::resume_fetches(conn, row.key, now).await?,
        _ => {}
    }
    let action = if reason.is_some() { "account block" } else { "account unblock" };
    note(conn, deed(by, action, &row, json!({ "reason": reason })), now).await?;
    existing(conn, id).await?.account()
}

async fn existing(conn: &mut Conn, id: &AccountId) -> TxResult<AccountRow> {
    let missing = || TxError::Refused(StorageError::Missing(format!("the account {id}")));
    lock_account(conn, id).await?.ok_or_else(missing)
}

/// Something that was done to an account.
fn deed<'a>(by: &'a str, action: &'static str, account: &AccountRow, details: Value) -> Deed<'a> {
    Deed { by, action, subject: account.name.clone(), account: Some(account.key), details }
}
