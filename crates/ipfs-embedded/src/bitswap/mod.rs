//! Bitswap: asking peers for blocks, and answering theirs.
//!
//! The behaviour only hands out streams. A task per inbound stream decodes and hashes, two tasks per peer send our
//! wants and serve theirs, so nothing heavy runs on the swarm's own task and a peer that never reads blocks nobody.
//!
//! **Invariant:** arrows go one way: the behaviour and its handler know the tasks, these the exchange, the exchange the
//! peers, and a peer the queue of what it wants.

mod behaviour;
mod client;
mod events;
mod exchange;
mod handler;
mod idle;
mod inbound;
mod lanes;
mod lock;
mod outlet;
mod peer;
mod protocol;
mod serve_budget;
mod serve_queue;
mod server;
mod waiting;
mod waiting_peers;
pub mod wire;

pub use behaviour::Behaviour;
pub use events::{Event, Events};
pub use exchange::{Exchange, Shared, Subscription};
pub use lock::lock;
pub use peer::{Peer, SpeaksBitswap};
pub use protocol::speaks_bitswap;
pub use serve_budget::ServeBudget;
