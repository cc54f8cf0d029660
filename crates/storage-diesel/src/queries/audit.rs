//! The audit log: entries that steps add to it, and what of it is read.

use diesel::prelude::*;
use pinrail_domain::AccountId;
use pinrail_spec::Timestamp;
use pinrail_storage::{AuditEntry, AuditFilter};
use serde_json::Value;

use super::accounts::account_key;
use super::{Conn, RunQueryDsl};
use crate::convert::{id, moment};
use crate::error::TxResult;
use crate::schema::{accounts, audit_log};

/// An entry that a step adds.
pub(crate) struct Deed<'a> {
    pub(crate) by: &'a str,
    pub(crate) action: &'static str,
    pub(crate) subject: String,
    /// The key of the account that it concerns.
    pub(crate) account: Option<i64>,
    pub(crate) details: Value,
}

/// Add an entry.
pub(crate) async fn note(conn: &mut Conn, deed: Deed<'_>, now: Timestamp) -> TxResult<()> {
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::at.eq(now.as_millis()),
            audit_log::actor.eq(deed.by),
            audit_log::action.eq(deed.action),
            audit_log::subject.eq(deed.subject),
            audit_log::account.eq(deed.account),
            audit_log::details.eq(deed.details.to_string()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// When, who, what, on what, details, and the id of the account.
type EntryRow = (i64, String, String, String, String, Option<Vec<u8>>);

/// The newest entries that match, the last one first.
pub(crate) async fn list(conn: &mut Conn, filter: &AuditFilter) -> TxResult<Vec<AuditEntry>> {
    let mut rows = audit_log::table
        .left_join(accounts::table.on(audit_log::account.eq(accounts::key.nullable())))
        .order(audit_log::key.desc())
        .limit(i64::from(filter.limit))
        .select((
            audit_log::at,
            audit_log::actor,
            audit_log::action,
            audit_log::subject,
            audit_log::details,
            accounts::id.nullable(),
        ))
        .into_boxed();
    if let Some(account) = &filter.account {
        let Some(key) = account_key(conn, account).await? else { return Ok(Vec::new()) };
        rows = rows.filter(audit_log::account.eq(key));
    }
    if let Some(since) = filter.since {
        rows = rows.filter(audit_log::at.ge(since.as_millis()));
    }
    let rows: Vec<EntryRow> = rows.load(conn).await?;
    let entry = |(at, actor, action, subject, details, account): EntryRow| {
        let account = account.map(|account| id(&account).map(AccountId::from_uuid)).transpose()?;
        Ok(AuditEntry { at: moment(at), actor, action, subject, account, details })
    };
    rows.into_iter().map(entry).collect()
}
