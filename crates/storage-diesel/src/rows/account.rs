//! An account's row in the domain's words.

use pinrail_domain::{Access, Account, AccountId, Limits, Usage};

use super::AccountRow;
use crate::convert::{from_column, id, moment, role};
use crate::error::TxResult;

impl AccountRow {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            requests: self.limit_requests.map(from_column),
            queued_roots: self.limit_queued_roots.map(from_column),
            bytes: self.limit_bytes.map(from_column),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            requests: from_column(self.used_requests),
            queued_roots: from_column(self.used_queued_roots),
            bytes: from_column(self.used_bytes),
        }
    }

    pub(crate) fn account(&self) -> TxResult<Account> {
        Ok(Account {
            id: AccountId::from_uuid(id(&self.id)?),
            name: self.name.clone(),
            email: self.email.clone(),
            role: role(&self.role)?,
            blocked: self.blocked.clone(),
            access: access(self.access_since, self.access_by.clone(), self.access_until),
            access_withdrawn: self.access_withdrawn.map(moment),
            limits: self.limits(),
            usage: self.usage(),
            created: moment(self.created),
        })
    }
}

/// A grant of access, from an account's three columns.
pub(crate) fn access(since: Option<i64>, by: Option<String>, until: Option<i64>) -> Option<Access> {
    Some(Access { since: moment(since?), by: by.unwrap_or_default(), until: until.map(moment) })
}
