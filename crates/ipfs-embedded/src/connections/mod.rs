//! Which connections are worth their place, and which are closed when there are too many.

mod rank;
mod trim;

pub use trim::Behaviour;
