//! What an IPFS backend can do, and the links of a block.

mod backend;
mod error;
mod links;

pub use backend::{Held, IpfsBackend, PinJob, Pinned};
pub use error::{IpfsError, Missing, Stage};
pub use links::{LinksError, READABLE_CODECS, links};
