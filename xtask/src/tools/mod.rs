//! The programs of others that development needs, each of one version, kept in the cache.

pub mod cargo_tools;
mod kubo;
mod node;
mod system;

use std::thread;

use anyhow::{Result, bail};
use clap::Args;
use pinrail_testbed::environment::Environment;
use pinrail_testbed::{postgres, tools};

use crate::progress::Step;

/// A tool with the parts of the tests that need it.
struct Tool {
    name: &'static str,
    needed_by: &'static [&'static str],
    install: fn(&Environment, &Step) -> Result<()>,
}

/// Every tool. What waits for the network comes first.
const TOOLS: &[Tool] = &[
    Tool { name: "node", needed_by: &["docs", "compliance", "helia"], install: node::install },
    Tool { name: "chromium", needed_by: &["docs"], install: ensure_chromium },
    Tool {
        name: "cargo-deny",
        needed_by: &["deny"],
        install: |environment, step| cargo_tools::CARGO_DENY.path(environment, step).map(drop),
    },
    Tool {
        name: "diesel",
        needed_by: &["codegen"],
        install: |environment, step| cargo_tools::DIESEL.path(environment, step).map(drop),
    },
    Tool { name: "postgresql", needed_by: &["unit", "postgres", "chaos"], install: ensure_postgres },
    Tool {
        name: "sqlite3",
        needed_by: &["chaos"],
        install: |environment, step| system::ensure(environment, "sqlite3", "sqlite3", step),
    },
    Tool {
        name: "faketime",
        needed_by: &["postgres", "chaos"],
        install: |environment, step| system::ensure(environment, "faketime", "faketime", step),
    },
    Tool { name: "kubo", needed_by: &["kubo", "network"], install: kubo::install },
    Tool {
        name: "ip",
        needed_by: &["network"],
        install: |environment, step| system::ensure(environment, "ip", "iproute2", step),
    },
];

#[derive(Args)]
pub struct Options {
    /// The parts of `cargo xtask test` whose tools are wanted; without any, all tools.
    #[arg(value_name = "PART")]
    parts: Vec<String>,
}

/// Install what was asked for.
pub fn run(environment: &Environment, options: &Options) -> Result<()> {
    let needs = |tool: &Tool, part: &String| tool.needed_by.contains(&part.as_str());
    if let Some(part) = options.parts.iter().find(|part| !TOOLS.iter().any(|tool| needs(tool, part))) {
        bail!("there is no part `{part}` that needs tools");
    }
    for tool in TOOLS {
        if options.parts.is_empty() || options.parts.iter().any(|part| needs(tool, part)) {
            let step = Step::start(tool.name);
            (tool.install)(environment, &step)?;
            step.done("is installed");
        }
    }
    Ok(())
}

/// Install the tools of one part.
pub fn prepare(environment: &Environment, part: &str, step: &Step) -> Result<()> {
    let mut needed = TOOLS.iter().filter(|tool| tool.needed_by.contains(&part));
    needed.try_for_each(|tool| (tool.install)(environment, step))
}

/// Begin to install the tools of these parts, one after another, while cargo is busy with our own sources.
///
/// A part asks for its tool and waits for the one that is being made. What fails here is tried again there, where its
/// error has a place.
pub fn begin(environment: &Environment, parts: &[&'static str]) {
    let (environment, parts) = (environment.clone(), parts.to_vec());
    thread::spawn(move || {
        for tool in TOOLS.iter().filter(|tool| tool.needed_by.iter().any(|part| parts.contains(part))) {
            let _ = (tool.install)(&environment, &Step::silent());
        }
    });
}

/// See that a throw-away server can be started here.
pub fn ensure_postgres(environment: &Environment, step: &Step) -> Result<()> {
    if postgres::check().is_err() {
        system::install(environment, "psql", "postgresql", step)?;
    }
    Ok(postgres::check()?)
}

fn ensure_chromium(environment: &Environment, step: &Step) -> Result<()> {
    if tools::chromium(environment).is_err() {
        system::install(environment, "chromium", "chromium", step)?;
    }
    Ok(())
}
