//! The audit log in memory. Its entries have no details.

use async_trait::async_trait;
use pinrail_domain::AccountId;
use pinrail_spec::Timestamp;
use pinrail_storage::{AuditEntry, AuditFilter, AuditLog, StorageError};

use super::MemoryStorage;
use super::tables::Tables;

#[async_trait]
impl AuditLog for MemoryStorage {
    async fn note(&self, action: &'static str, subject: &str, now: Timestamp) -> Result<(), StorageError> {
        self.step_at(now, |tables| tables.note(action, subject, None, now));
        Ok(())
    }

    async fn list_audit_log(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StorageError> {
        let is_wanted = |entry: &&AuditEntry| {
            filter.account.is_none_or(|account| entry.account == Some(account))
                && filter.since.is_none_or(|since| entry.at >= since)
        };
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        Ok(self.step(|tables| tables.audit_log.iter().rev().filter(is_wanted).take(limit).cloned().collect()))
    }
}

impl Tables {
    /// Add an entry to the audit log.
    pub fn note(
        &mut self,
        action: &str,
        subject: &(impl ToString + ?Sized),
        account: Option<AccountId>,
        now: Timestamp,
    ) {
        self.audit_log.push(AuditEntry {
            at: now,
            actor: "operator".to_owned(),
            action: action.to_owned(),
            subject: subject.to_string(),
            account,
            details: "{}".to_owned(),
        });
    }
}
