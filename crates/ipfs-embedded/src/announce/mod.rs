//! Announcing: telling the DHT's servers what this node provides, region by region of the keyspace.
//!
//! A region is explored once for all keys in it, so that the look-ups are some hundreds whatever the number of keys.

mod explore;
mod schedule;
mod send;
mod task;
#[cfg(test)]
mod tests;

pub use task::{AnnounceStats, Announcer, Own};
