//! What tests and development run: the two programs on data of their own, the programs of others, throw-away servers.
//!
//! It depends on no product crate and starts what cargo built, as an operator would.

pub mod cache;
pub mod child;
pub mod command;
pub mod environment;
pub mod instance;
pub mod kubo;
pub mod metrics;
pub mod node;
pub mod postgres;
pub mod programs;
pub mod resident;
pub mod signals;
pub mod stopwatch;
pub mod tools;
pub mod unprivileged;
