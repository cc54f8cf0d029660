//! Received bytes that nobody has read yet: counted for each peer and address block, and bounded for the process.
//!
//! A peer may open many streams and fill the window of each. So the bytes are counted where they leave the connection
//! and where they are read, and while a peer holds its share nothing more is read for it: TCP then makes it wait.

mod budget;
mod counted;
mod muxer;
mod socket;

pub use budget::{Account, Budget, Hold};
pub use counted::Counted;
pub use muxer::Upgrade;
