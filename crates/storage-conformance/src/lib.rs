//! The checks every storage passes, and the in-memory reference.

mod memory;

pub use memory::{MemoryStorage, TestClock};
