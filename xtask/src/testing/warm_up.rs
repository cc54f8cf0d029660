//! Tools are fetched and built while cargo is busy with our own sources.

use std::thread;

use anyhow::Result;

use super::part::Part;
use crate::environment::Environment;
use crate::progress::Step;
use crate::tools::node::Node;
use crate::tools::{cargo_tools, chromium, kubo, postgres};

type Prepare = fn(&Environment, &Step) -> Result<()>;

/// Each tool with the parts that need it. What waits for the network comes first.
const TOOLS: &[(&[&str], Prepare)] = &[
    (&["docs", "compliance", "helia"], |environment, step| Node::find(environment, step).map(drop)),
    (&["docs"], |environment, step| chromium::path(environment, step).map(drop)),
    (&["deny"], |environment, step| cargo_tools::CARGO_DENY.path(environment, step).map(drop)),
    (&["codegen"], |environment, step| cargo_tools::DIESEL.path(environment, step).map(drop)),
    (&["unit", "postgres"], postgres::ensure),
    (&["kubo"], |environment, step| kubo::path(environment, step).map(drop)),
];

/// Begin to fill the cache with what the parts need, one tool after another.
///
/// A part asks the cache for its tool and waits for the one that is being made. What fails here
/// is tried again there, where its error has a place.
pub fn begin(environment: &Environment, parts: &[&Part]) {
    let chosen: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let environment = environment.clone();
    thread::spawn(move || {
        for (needed_by, prepare) in TOOLS {
            if needed_by.iter().any(|name| chosen.contains(name)) {
                let _ = prepare(&environment, &Step::silent());
            }
        }
    });
}
