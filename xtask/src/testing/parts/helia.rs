//! Helia as a peer in both directions, and its remote pinning as a client; helia.mjs holds the checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::environment::root;
use crate::instance::provider::Provider;
use crate::instance::sample;
use crate::progress::Step;
use crate::testing::fixture::Fixture;
use crate::testing::part::{Context, Part, Tally};
use crate::testing::parts::script;
use crate::tools::node::Node;

pub const HELIA: Part =
    Part { name: "helia", about: "Helia as a peer in both directions, and its remote pinning as a client", run: helia };

fn helia(context: &Context, step: &Step) -> Result<Tally> {
    let node = Node::find(&context.environment, step)?;
    let fixture = Fixture::start(context, step)?;
    let folder = tempfile::tempdir()?;
    node.link_packages(folder.path())?;
    fs::copy(root().join("xtask/tools/node/helia.mjs"), folder.path().join("helia.mjs"))?;

    let paths = write_samples(&folder.path().join("samples"))?;
    let providers: Vec<Provider> =
        paths.iter().map(|path| Provider::start(&fixture.instance, path)).collect::<Result<_>>()?;
    let task = json!({
        "endpoint": fixture.instance.endpoint(),
        "token": fixture.token,
        "provided": paths.iter().zip(&providers).map(|(path, provider)| described(path, provider)).collect::<Vec<_>>(),
    });

    let mut command = node.command(folder.path());
    command.arg("helia.mjs").arg(task.to_string());
    script::run(command, step)
}

/// A folder, a file in one block, a file in several.
fn write_samples(folder: &Path) -> Result<[PathBuf; 3]> {
    let tree = folder.join("tree");
    sample::write(&tree)?;
    let small = folder.join("small.txt");
    fs::write(&small, "a file in one block\n")?;
    let large = folder.join("large.bin");
    fs::copy(tree.join(sample::LARGE), &large)?;
    Ok([tree, small, large])
}

fn described(path: &Path, provider: &Provider) -> Value {
    json!({ "path": path, "cid": provider.cid, "addresses": provider.addresses })
}
