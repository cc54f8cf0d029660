//! The IPFS Pinning Service API's own types and limits (version 1.0.0), with no I/O.
//!
//! Everything here is what a client sends or reads: [`Pin`], [`PinStatus`], [`PinResults`], [`Failure`],
//! [`PinFilter`], [`Cid`] and [`Multiaddr`]. What is beyond the specification lives in `pinrail-domain`.

mod cid;
mod failure;
mod filter;
mod hash;
mod ip;
mod json;
mod multiaddr;
pub mod multicodec;
mod name;
mod pin;
mod query;
#[cfg(feature = "utoipa")]
pub mod schema;
mod status;
mod timestamp;

pub use cid::{Cid, CidError, Codec, RootKey};
pub use failure::{Failure, FailureBody, Reason};
pub use filter::{FilterError, Match, NameFilter, PinFilter};
pub use hash::check_hash;
pub use ip::{is_public_ip, without_wrapping};
pub use multiaddr::{Multiaddr, MultiaddrError};
pub use name::fold;
pub use pin::{Pin, PinError};
pub use status::{PinResults, PinStatus, Status};
pub use timestamp::Timestamp;
