//! `audit`: what operators and administrators did.

use anyhow::Result;
use pinrail_domain::AccountId;
use pinrail_spec::Timestamp;
use pinrail_storage::{AuditEntry, AuditFilter, Storage};
use serde::Serialize;
use serde_json::Value;

use super::{find_account, print_json, print_table};
use crate::settings::AuditCommand;
use crate::system::now;

/// An entry as a script gets it.
#[derive(Serialize)]
struct Shown<'a> {
    at: Timestamp,
    actor: &'a str,
    action: &'a str,
    subject: &'a str,
    account: Option<AccountId>,
    details: Value,
}

/// Do what is asked of the audit log.
pub async fn run(command: AuditCommand, storage: &dyn Storage) -> Result<()> {
    let AuditCommand::List { account, since, limit, json } = command;
    let account = match account {
        Some(name) => Some(find_account(storage, &name).await?.id),
        None => None,
    };
    let filter = AuditFilter { account, since: since.map(|since| since.from(now())), limit };
    let entries = storage.list_audit_log(&filter).await?;
    if json {
        print_json(&entries.iter().map(show).collect::<Vec<_>>())?;
    } else {
        print(&entries);
    }
    Ok(())
}

fn show(entry: &AuditEntry) -> Shown<'_> {
    let details = serde_json::from_str(&entry.details).unwrap_or_else(|_| Value::from(&*entry.details));
    let AuditEntry { at, actor, action, subject, account, .. } = entry;
    Shown { at: *at, actor, action, subject, account: *account, details }
}

fn print(entries: &[AuditEntry]) {
    let row = |entry: &AuditEntry| {
        let AuditEntry { at, actor, action, subject, details, .. } = entry;
        [at.to_string(), actor.clone(), action.clone(), subject.clone(), details.clone()]
    };
    let rows = entries.iter().map(row).collect::<Vec<_>>();
    print_table(["WHEN", "WHO", "WHAT", "ON WHAT", "MORE"], &rows, "nothing was done yet");
}
