//! What the service answers about a pin: its status, the pin itself, and where to send the data.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Pin, Timestamp};

/// Status a pin object can have at a pinning service
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

/// Pin object with status
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct PinStatus {
    /// Globally unique identifier of the pin request; can be used to check the status of ongoing pinning, or pin removal
    #[cfg_attr(feature = "utoipa", schema(example = "UniqueIdOfPinRequest"))]
    pub requestid: String,
    /// Status a pin object can have at a pinning service
    pub status: Status,
    /// Immutable timestamp indicating when a pin request entered a pinning service; can be used for filtering results and pagination
    #[cfg_attr(feature = "utoipa", schema(value_type = String, format = DateTime, example = "2020-07-27T17:32:28Z"))]
    pub created: Timestamp,
    /// Pin object
    pub pin: Pin,
    /// List of multiaddrs designated by pinning service for transferring any new data from external peers
    #[cfg_attr(feature = "utoipa", schema(schema_with = crate::schema::delegates))]
    pub delegates: Vec<String>,
    /// Optional info for `PinStatus` response
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "utoipa", schema(schema_with = crate::schema::info, required = false))]
    pub info: BTreeMap<String, String>,
}

/// Response used for listing pin objects matching request
#[expect(clippy::doc_markdown, reason = "the words are the specification's and go into the OpenAPI document")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct PinResults {
    /// The total number of pin objects that exist for passed query filters
    #[cfg_attr(feature = "utoipa", schema(value_type = i32, minimum = 0, example = 1))]
    pub count: u64,
    /// An array of PinStatus results
    #[cfg_attr(feature = "utoipa", schema(value_type = BTreeSet<PinStatus>, min_items = 0, max_items = 1000))]
    pub results: Vec<PinStatus>,
}
