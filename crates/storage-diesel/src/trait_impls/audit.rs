//! The audit log: its steps. Compiled for each database.

use async_trait::async_trait;
use pinrail_spec::Timestamp;
use pinrail_storage::{AuditEntry, AuditFilter, AuditLog, StorageError};
use serde_json::json;

use super::Store;
use super::queries::audit::{self, Deed};

#[async_trait]
impl AuditLog for Store {
    async fn note(&self, action: &'static str, subject: &str, now: Timestamp) -> Result<(), StorageError> {
        let (by, subject) = (self.actor(), subject.to_owned());
        self.write(Some(now), move |conn| {
            Box::pin(async move {
                let deed = Deed { by: &by, action, subject, account: None, details: json!({}) };
                audit::note(conn, deed, now).await
            })
        })
        .await
    }

    async fn list_audit_log(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StorageError> {
        let filter = filter.clone();
        self.read(move |conn| Box::pin(async move { audit::list(conn, &filter).await })).await
    }
}
