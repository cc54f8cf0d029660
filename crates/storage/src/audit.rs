//! The audit log: what operators and administrators did.

use async_trait::async_trait;
use pinrail_domain::AccountId;
use pinrail_spec::Timestamp;

use crate::StorageError;

/// Something that an operator or administrator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: the user of the system whose command it was, as the program was told when it opened the storage.
    pub actor: String,
    /// The command, `access grant` for instance.
    pub action: String,
    /// What it was done to: the name of an account, the id of a token, a key or a node, a file.
    pub subject: String,
    /// The account that it concerns, if there is one.
    pub account: Option<AccountId>,
    /// More of it, as a JSON object; never a token or a key.
    pub details: String,
}

/// Which entries are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those about this account alone.
    pub account: Option<AccountId>,
    /// Those from then on.
    pub since: Option<Timestamp>,
    /// The most entries.
    pub limit: u32,
}

/// What was done by operators and administrators. Each such step of the other traits adds its entry itself, in the same
/// transaction: an account that is added, granted access or blocked, a token or a key that is made or revoked, a node
/// that is retired. A step that was refused or changed nothing adds none.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Add an entry for something that changes nothing else that is kept, a backup for instance.
    async fn note(&self, action: &'static str, subject: &str, now: Timestamp) -> Result<(), StorageError>;

    /// The newest entries that match, the last one that was committed first.
    async fn list_audit_log(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StorageError>;
}
