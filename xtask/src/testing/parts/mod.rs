//! Every part of the test run, the quick ones first.

mod abuse;
mod chaos;
mod codegen;
mod compliance;
mod deny;
mod docs;
mod embed;
mod full_disk;
mod helia;
mod kubo;
mod lints;
mod moving;
mod postgres;
mod script;
mod several;
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
    postgres::POSTGRES,
    chaos::CHAOS,
    abuse::ABUSE,
    docs::DOCS,
    compliance::COMPLIANCE,
    helia::HELIA,
    kubo::KUBO,
];
