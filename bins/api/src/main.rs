//! The HTTP service, and the operator's commands.

fn main() {}
