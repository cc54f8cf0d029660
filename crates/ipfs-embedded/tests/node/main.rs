//! The node against nodes of its own kind, and against peers that mean it harm.

mod backend;
mod conformance;
mod crowd;
mod fellows;
mod fetch;
mod gate;
mod honest;
mod hostile;
mod listen;
mod provide;
mod refused;
mod resume;
mod script;
mod space;
mod support;
