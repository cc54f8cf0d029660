//! Routing: who provides a block, and where a peer is.

mod budget;
mod delegated;
mod finder;
mod health;
mod lookups;
mod options;
mod records;
mod rotation;

use std::io;

use self::delegated::Router;
pub use self::finder::{Finder, FinderStats};
pub use self::lookups::Providers;
pub use self::options::{DhtMode, RouterUrl, RouterUrlError, RoutingOptions};
use crate::gate::OutboundGate;
use crate::web;

/// The routers that these options name, asked at addresses that `gate` admits.
pub fn routers(options: &RoutingOptions, gate: &OutboundGate) -> io::Result<Vec<Router>> {
    if options.routers.is_empty() {
        return Ok(Vec::new());
    }
    let client = web::client(gate.clone())?;
    let router = |url: &RouterUrl| Router::new(url.clone(), client.clone(), gate.clone());
    Ok(options.routers.iter().map(router).collect())
}
