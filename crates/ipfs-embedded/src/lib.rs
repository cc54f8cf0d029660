//! An IPFS node inside the worker: bitswap and a durable block store.
pub mod store;
