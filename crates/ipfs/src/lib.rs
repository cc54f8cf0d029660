//! What an IPFS backend can do, and what a block is: its hash and its links.

mod backend;
mod error;
pub mod hash;
mod links;

pub use backend::{Held, IpfsBackend, PinJob};
pub use error::IpfsError;
pub use links::{LinksError, READABLE_CODECS, links};

/// The largest block that other nodes send or take.
pub const MAX_BLOCK_BYTES: usize = 2 << 20;
