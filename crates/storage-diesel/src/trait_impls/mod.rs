//! The storage's traits: which steps write, which concern workers, which reads may take long. Compiled once for each
//! database.

mod accounts;
mod audit;
mod pin_requests;
mod root_queue;
mod tokens;
mod transfer;

pub(crate) use transfer::Session;

use super::{Conn, Store, queries, session};
