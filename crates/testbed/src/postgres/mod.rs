//! A throw-away PostgreSQL server of the system's own package, for tests and for a development run.
//!
//! It lives in a temporary folder, listens on 127.0.0.1 alone, and goes with the process that started it however that
//! ends: a shell between the two waits for the end of its standard input, stops the server and clears the folder.

mod lent;
mod programs;
mod server;

pub use lent::{Lent, lend};
pub use programs::{Missing, check};
pub use server::{Server, ServerOptions, Tls};
