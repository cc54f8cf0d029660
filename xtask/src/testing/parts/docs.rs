//! The page at `/docs/` in a real browser; docs.mjs holds the checks.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::environment::root;
use crate::progress::Step;
use crate::testing::fixture::Fixture;
use crate::testing::part::{Context, Part, Tally};
use crate::testing::parts::script;
use crate::tools::chromium;
use crate::tools::node::Node;

pub const DOCS: Part = Part {
    name: "docs",
    about: "the page at /docs/ in Chromium: it shows the operations, one is tried, nothing comes from elsewhere",
    run: docs,
};

fn docs(context: &Context, step: &Step) -> Result<Tally> {
    let node = Node::find(&context.environment, step)?;
    let chromium = chromium::path(&context.environment, step)?;
    let fixture = Fixture::start(context, step)?;
    let folder = tempfile::tempdir()?;
    node.link_packages(folder.path())?;
    fs::copy(root().join("xtask/tools/node/docs.mjs"), folder.path().join("docs.mjs"))?;
    let task = json!({ "chromium": chromium, "endpoint": fixture.instance.endpoint(), "token": fixture.token });
    let mut command = node.command(folder.path());
    command.arg("docs.mjs").arg(task.to_string());
    script::run(command, step)
}
