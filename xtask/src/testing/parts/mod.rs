//! Every part of the test run, the quick ones first.

mod codegen;
mod deny;
mod lints;
mod unit;

use super::part::{Part, Run};

/// The parts in the order of their running.
pub const ALL: &[Part] = &[
    lints::FMT,
    lints::TIDY,
    lints::CLIPPY,
    unit::UNIT,
    codegen::CODEGEN,
    deny::DENY,
    end_to_end("embed", "a fresh workspace of its own verifies a token with pinrail-domain alone"),
    end_to_end("together", "both binaries: a pin's whole life, kill -9 at any moment, clean stops, one-line refusals"),
    end_to_end(
        "postgres",
        "both binaries on PostgreSQL: the same, several of each, and the server restarted under them",
    ),
    end_to_end(
        "chaos",
        "clients keep working while processes are killed, paused and cut off: nothing is lost, nothing comes back",
    ),
    end_to_end("abuse", "attackers by the API and by the IPFS node's port: a victim's work goes on, memory stays"),
    end_to_end(
        "docs",
        "the page at /docs/ in Chromium: it shows the operations, one is tried, nothing comes from elsewhere",
    ),
    end_to_end("compliance", "the official compliance suite, 9 of 9"),
    end_to_end("helia", "Helia as a peer in both directions, and its remote pinning as a client"),
    end_to_end("kubo", "Kubo's own program drives both binaries: service add, add, ls, rm, the MFS policy"),
    end_to_end("network", "a public network in a namespace: what nobody brings is found in the DHT of real Kubos"),
];

const fn end_to_end(name: &'static str, about: &'static str) -> Part {
    Part { name, about, run: Run::EndToEnd }
}
