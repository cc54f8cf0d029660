//! pinrail-worker: takes due roots, has an IPFS backend pin them, settles the outcome.

mod run;

fn main() {}
