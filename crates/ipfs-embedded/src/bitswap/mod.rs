//! Bitswap: asking peers for blocks, and answering theirs.
//!
//! The behaviour only hands out streams. A task per inbound stream decodes and hashes, two tasks per peer send our
//! wants and serve theirs, so nothing heavy runs on the swarm's own task and a peer that never reads blocks nobody.

mod behaviour;
mod client;
mod events;
mod exchange;
mod handler;
mod idle;
mod inbound;
mod lanes;
mod outlet;
mod peer;
mod serve_budget;
mod serve_queue;
mod server;
mod waiting;
pub mod wire;

pub use behaviour::Behaviour;
pub use events::Events;
pub use exchange::{Event, Exchange, Shared, Subscription};
pub use handler::speaks_bitswap;
pub use peer::{Peer, SpeaksBitswap, lock};
pub use serve_budget::ServeBudget;
