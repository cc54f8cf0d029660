//! `check`: reads every block of a data folder that is not in use again, and hashes it.

use anyhow::{Context, Result, bail};
use pinrail_block_store::{BlockStore, NodeKey, StoreError};
use pinrail_domain::{chain, format_size};
use pinrail_ipfs::hash::matches;
use serde::Serialize;

use crate::folder::NodeFolder;
use crate::log;
use crate::scratch::unreserved;
use crate::settings::{CheckArgs, Common};

/// Roots in a page.
const PAGE: usize = 1_000;

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Findings {
    /// Nodes whose blocks are there.
    blocks: u64,
    /// The bytes of those.
    bytes: u64,
    /// Roots that are whole.
    pinned: u64,
    /// Roots that are being fetched, or failed a short while ago.
    unfinished: u64,
    /// What is not as it has to be.
    problems: Vec<String>,
}

/// Look at every block and every root, print what was found, and fail if anything is wrong.
pub async fn check(common: &Common, asked: &CheckArgs) -> Result<()> {
    log::start(common, "warn")?;
    let folder = NodeFolder::new(&common.data_dir);
    folder.check_owner()?;
    let store = folder.open_kept_blocks(unreserved())?;
    let mut found = tokio::task::spawn_blocking(move || look(&store)).await??;
    found.problems.extend(folder.open_to_others());
    if asked.json {
        println!("{}", serde_json::to_string(&found)?);
    } else {
        found.problems.iter().for_each(|problem| println!("problem: {problem}"));
        let size = format_size(found.bytes);
        println!(
            "{} blocks of {size} hashed, {} roots whole, {} unfinished",
            found.blocks, found.pinned, found.unfinished
        );
    }
    match found.problems.len() {
        0 => Ok(()),
        1 => bail!("there is a problem"),
        count => bail!("there are {count} problems"),
    }
}

fn look(store: &BlockStore) -> Result<Findings> {
    let mut found = Findings::default();
    look_at_blocks(store, &mut found)?;
    look_at_roots(store, &mut found)?;
    Ok(found)
}

/// Read and hash each block. The same bytes under two codecs are two nodes, and read twice.
fn look_at_blocks(store: &BlockStore, found: &mut Findings) -> Result<()> {
    store.scan(|node| {
        if !node.present {
            return;
        }
        found.blocks += 1;
        found.bytes += u64::from(node.size);
        if let Some(problem) = problem_of(store, &node.key, node.size) {
            found.problems.push(format!("block {}: {problem}", node.key));
        }
    })?;
    Ok(())
}

fn problem_of(store: &BlockStore, key: &NodeKey, size: u32) -> Option<String> {
    match store.read(&key.multihash) {
        Err(StoreError::Corrupt(_)) => Some("damaged on disk".to_owned()),
        Err(error) => Some(chain(&error)),
        Ok(None) => Some("in the index, and not on the disk".to_owned()),
        Ok(Some(bytes)) if !matches(&key.multihash, &bytes) => Some("its bytes are not what it names".to_owned()),
        Ok(Some(bytes)) if bytes.len() as u64 != u64::from(size) => {
            Some(format!("it has {} bytes, the index says {size}", bytes.len()))
        }
        Ok(Some(_)) => None,
    }
}

/// Walk each pinned root over what is there.
fn look_at_roots(store: &BlockStore, found: &mut Findings) -> Result<()> {
    let mut after = None;
    loop {
        let page = store.roots(after.as_ref(), PAGE)?;
        for (key, state) in page.roots {
            if !state.pinned {
                found.unfinished += 1;
                continue;
            }
            let walk = store.walk(&key, 1).with_context(|| format!("root {key}"))?;
            match walk.holes.first() {
                Some(hole) => found.problems.push(format!("root {key}: {hole} is missing")),
                None if walk.totals != state.totals => {
                    let (wanted, walked) = (state.totals.blocks, walk.totals.blocks);
                    found.problems.push(format!("root {key}: it was pinned with {wanted} blocks and has {walked}"));
                }
                None => found.pinned += 1,
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
