//! The node against nodes of its own kind, and against peers that mean it harm.

mod admission;
mod backend;
mod conformance;
mod crowd;
mod dials;
mod dials_from;
mod fellows;
mod fetch;
mod gate;
mod honest;
mod hostile;
mod identify;
mod keys;
mod listen;
mod peer_routing;
mod promises;
mod receiving;
mod refused;
mod resume;
mod script;
mod serving;
mod space;
mod support;
mod transports;
mod wants;
mod words;
