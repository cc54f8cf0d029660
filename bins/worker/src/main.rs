//! Takes due roots, has an IPFS backend pin them, settles the outcome.

fn main() {}
