//! The node against nodes of its own kind, and against peers that mean it harm.

mod fetch;
mod hostile;
mod script;
mod support;
