//! Every part of the test run, the quick ones first.

mod codegen;
mod compliance;
mod deny;
mod kubo;
mod lints;
mod unit;

use super::part::Part;

/// The parts in the order of their running.
pub const ALL: &[Part] = &[
    lints::FMT,
    lints::TIDY,
    lints::CLIPPY,
    unit::UNIT,
    codegen::CODEGEN,
    deny::DENY,
    compliance::COMPLIANCE,
    kubo::KUBO,
];
