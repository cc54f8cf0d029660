//! Every part of the test run, the quick ones first.

mod chaos;
mod codegen;
mod compliance;
mod deny;
mod embed;
mod helia;
mod kubo;
mod lints;
mod together;
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
    embed::EMBED,
    together::TOGETHER,
    chaos::CHAOS,
    compliance::COMPLIANCE,
    helia::HELIA,
    kubo::KUBO,
];
