//! Routing: who provides a block, and where a peer is.

mod options;

pub use options::{DhtMode, RoutingOptions};
