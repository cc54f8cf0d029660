//! Routing: who provides a block, and where a peer is.

mod budget;
mod finder;
mod lookups;
mod options;
mod rotation;

pub use self::finder::{Finder, FinderStats};
pub use self::lookups::Providers;
pub use self::options::{DhtMode, RoutingOptions};
