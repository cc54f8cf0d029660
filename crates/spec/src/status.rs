//! What the service answers about a pin: its status, the pin itself, and where to send the data.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Pin, Timestamp};

/// Where a pin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting in the queue.
    Queued,
    /// Being fetched.
    Pinning,
    /// Whole and durable.
    Pinned,
    /// Given up, with the reason in `info`.
    Failed,
}

impl Status {
    /// Every status, in the order of the specification.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Pinning, Self::Pinned, Self::Failed];

    /// Its word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pinning => "pinning",
            Self::Pinned => "pinned",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

/// Pin object with status, the specification's `PinStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct PinStatus {
    /// Globally unique identifier of the pin request.
    pub requestid: String,
    /// Where it stands.
    pub status: Status,
    /// When the request was accepted; unique in the account.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, format = DateTime))]
    pub created: Timestamp,
    /// What was asked for, as it was sent.
    pub pin: Pin,
    /// Where the client can connect to hand over the data, 1 to 20 multiaddrs.
    pub delegates: Vec<String>,
    /// Further information, string to string.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub info: BTreeMap<String, String>,
}

/// One page of pins, the specification's `PinResults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct PinResults {
    /// How many pins match the filters, on this page or not.
    pub count: u64,
    /// The newest first.
    pub results: Vec<PinStatus>,
}
