//! Codegen, migrations and all of development.

fn main() {}
