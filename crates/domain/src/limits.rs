//! What an account may use, counted in the transaction that uses it.

use pinrail_spec::Pin;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{DagSize, RootRecord, RootState, Usage, carried_bytes};

/// The most that an account may have; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Pin requests, whatever their status.
    pub requests: Option<u64>,
    /// Distinct roots that are queued or being fetched.
    pub queued_roots: Option<u64>,
    /// Bytes of the account's distinct roots, each at the size of its DAG, a running fetch at what it has received, and
    /// [`BLOCK_OVERHEAD`](crate::BLOCK_OVERHEAD) for each of their blocks; and of what its pin requests carry.
    pub bytes: Option<u64>,
}

impl Limits {
    /// The most pin requests that one account may hold for one root.
    pub const REQUESTS_PER_ROOT: u64 = 1_000;

    /// What an account gets unless an administrator says otherwise.
    pub const STANDARD: Self = Self { requests: Some(100_000), queued_roots: Some(10_000), bytes: Some(1 << 40) };

    /// No limit at all.
    pub const UNLIMITED: Self = Self { requests: None, queued_roots: None, bytes: None };

    /// Check that one more pin request fits; `new_root` when it also queues a root that the account did not wait for.
    pub fn admit(&self, usage: &Usage, new_root: bool) -> Result<(), QuotaExceeded> {
        check("pin requests", self.requests, usage.requests)?;
        if new_root {
            check("queued roots", self.queued_roots, usage.queued_roots)?;
            check("bytes", self.bytes, usage.bytes)?;
        }
        Ok(())
    }

    /// Check that `bytes` more fit: what a pin request carries, and a root that is pinned already, for others, and new to
    /// the account. Nothing more always fits.
    pub fn admit_bytes(&self, usage: &Usage, bytes: u64) -> Result<(), QuotaExceeded> {
        match self.bytes {
            Some(limit) if bytes > 0 && usage.bytes.saturating_add(bytes) > limit => {
                Err(QuotaExceeded { what: "bytes", limit, used: usage.bytes })
            }
            _ => Ok(()),
        }
    }

    /// Check that the account may have one more pin request for a root for which it has `requests`.
    pub fn admit_same_root(requests: u64) -> Result<(), QuotaExceeded> {
        check("pin requests for this CID", Some(Self::REQUESTS_PER_ROOT), requests)
    }

    /// Check that a pin request fits.
    ///
    /// An inline CID counts at once and queues nothing, like a root that is pinned already for others; any other root
    /// counts by what is received of it, so that only what the request itself carries is checked.
    pub fn admit_pin(&self, asked: &Admission<'_>) -> Result<(), QuotaExceeded> {
        let Admission { pin, usage, root, claims, replaces_same_root } = asked;
        Self::admit_same_root(claims.requests - u64::from(*replaces_same_root))?;
        let carried = carried_bytes(pin);
        let pinned = root.filter(|root| root.state == RootState::Pinned).and_then(|root| root.size);
        if let Some(size) = pinned.or_else(|| DagSize::inline(&pin.cid)) {
            self.admit(usage, false)?;
            let is_new = claims.requests + claims.holds == 0;
            return self.admit_bytes(usage, carried + if is_new { size.counted_bytes() } else { 0 });
        }
        let is_waited_for = claims.requests > 0 && root.is_some_and(RootRecord::is_unfinished);
        self.admit(usage, !is_waited_for)?;
        self.admit_bytes(usage, carried)
    }

    /// Whether the account's bytes are used up, so that a running fetch has to stop.
    pub fn bytes_spent(&self, usage: &Usage) -> bool {
        self.bytes.is_some_and(|limit| usage.bytes > limit)
    }
}

/// What an account has on one root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claims {
    /// Its pin requests.
    pub requests: u64,
    /// Its holds, those of requests that were replaced.
    pub holds: u64,
}

/// A pin request that is to be checked against its account's limits.
#[derive(Debug)]
pub struct Admission<'a> {
    /// What is asked for.
    pub pin: &'a Pin,
    /// What the account uses, without the request that this one replaces.
    pub usage: Usage,
    /// The root, if a row of it exists.
    pub root: Option<&'a RootRecord>,
    /// What the account has on that root, a replaced request included.
    pub claims: Claims,
    /// Whether it replaces a request for the same root.
    pub replaces_same_root: bool,
}

fn check(what: &'static str, limit: Option<u64>, used: u64) -> Result<(), QuotaExceeded> {
    match limit {
        Some(limit) if used >= limit => Err(QuotaExceeded { what, limit, used }),
        _ => Ok(()),
    }
}

/// A limit of the account is reached.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the account has {used} {what} and may have {limit}, delete some pins or ask for a higher limit")]
pub struct QuotaExceeded {
    /// Which limit.
    pub what: &'static str,
    /// The most there may be.
    pub limit: u64,
    /// What there is.
    pub used: u64,
}
