//! Accounts: who may pin, and how much they use.

use serde::{Deserialize, Serialize};

use pinrail_spec::Timestamp;

use crate::{AccountId, Limits};

/// What an account may do beyond its own pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Pins and manages its own tokens.
    Pinner,
    /// Also decides access requests, sets limits, blocks accounts and tokens.
    Administrator,
}

/// The grant by which an account may pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// When it was granted.
    pub since: Timestamp,
    /// Who granted it: an administrator's account name, or `operator`.
    pub by: String,
    /// When it ends, if it does.
    pub until: Option<Timestamp>,
}

/// What an account has in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Pin requests, whatever their status.
    pub requests: u64,
    /// Distinct roots that are queued or being fetched.
    pub queued_roots: u64,
    /// Bytes of its distinct roots and of what its requests carry, as [`Limits::bytes`] counts them.
    pub bytes: u64,
}

impl Usage {
    /// What is in use once a pin request is gone that carries `carried` bytes; `unqueues` if its root was waited for and
    /// no other request of the account is for it.
    #[must_use]
    pub const fn without_request(self, carried: u64, unqueues: bool) -> Self {
        Self {
            requests: self.requests.saturating_sub(1),
            queued_roots: self.queued_roots.saturating_sub(unqueues as u64),
            bytes: self.bytes.saturating_sub(carried),
        }
    }
}

/// An account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its identifier.
    pub id: AccountId,
    /// Its unique name, 1 to 64 characters.
    pub name: String,
    /// Where to write to, if known.
    pub email: Option<String>,
    /// What it may do beyond its own pins.
    pub role: Role,
    /// Why it is blocked, if it is.
    pub blocked: Option<String>,
    /// The grant by which it may pin, if it has one.
    pub access: Option<Access>,
    /// When its access was withdrawn, if none was granted since.
    pub access_withdrawn: Option<Timestamp>,
    /// The most it may use.
    pub limits: Limits,
    /// What it uses.
    pub usage: Usage,
    /// When it was added.
    pub created: Timestamp,
}

impl Account {
    /// Whether it may add and replace pins at `now`: access granted and not run out, and not blocked.
    pub fn may_pin(&self, now: Timestamp) -> bool {
        let granted = self.access.as_ref().is_some_and(|access| access.until.is_none_or(|until| now < until));
        granted && self.blocked.is_none()
    }
}
