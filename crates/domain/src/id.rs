//! Identifiers, one type each, so that an account is never taken for a token.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use pinrail_spec::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// From a UUID that is already known.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// A new one (UUIDv7), sorted by `now`, from ten random bytes.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.as_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// The UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// A pin request, `requestid` on the wire.
    RequestId
}
id! {
    /// An account: who owns pin requests and tokens.
    AccountId
}
id! {
    /// An access token.
    TokenId
}
id! {
    /// An IPFS node that holds roots: a worker's own, a Kubo node, or a cluster.
    NodeId
}
id! {
    /// This Pinrail, the audience of its tokens: a token of another one is refused.
    ServiceId
}
id! {
    /// Proof of holding a lease; a new one each time a root is leased.
    LeaseToken
}
