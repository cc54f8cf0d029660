//! `check`: says all that is wrong, at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use pinrail_domain::KeyState;
use pinrail_spec::Multiaddr;
use pinrail_storage::{SigningKeys, Storage};
use pinrail_storage_diesel::ConsistencyCheck;
use serde::Serialize;

use super::print_json;
use crate::keys::KeyFolder;
use crate::settings::{self, Common};
use crate::system::now;
use crate::{data_folder, database};

/// A worker that runs is heard of three times within this.
const QUIET: Duration = Duration::from_mins(1);

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    /// What has to be mended.
    problems: Vec<String>,
    /// What an operator should know.
    notes: Vec<String>,
}

impl Findings {
    fn problem(&mut self, text: &impl ToString) {
        self.problems.push(text.to_string());
    }

    fn note(&mut self, text: &impl ToString) {
        self.notes.push(text.to_string());
    }
}

/// Look at everything, print what was found, and fail if anything has to be mended.
pub async fn run(common: &Common, json: bool) -> Result<()> {
    let mut found = Findings { problems: settings::problems(common), notes: Vec::new() };
    for program in settings::programs_that_allow_private(common) {
        found.note(&format!(
            "allow-private is on for {program}: origins that clients name reach the networks around its machine"
        ));
    }
    check_folder(&common.data_dir, &mut found);
    for open in data_folder::open_to_others(common) {
        found.problem(&open);
    }
    match open(common).await {
        Ok(storage) => {
            check_database(storage.as_ref(), &KeyFolder::new(common.keys()), &mut found).await;
            storage.close().await;
        }
        Err(problem) => found.problem(&format!("{problem:#}")),
    }
    if json {
        print_json(&found)?;
    } else {
        found.problems.iter().for_each(|problem| println!("problem: {problem}"));
        found.notes.iter().for_each(|note| println!("note: {note}"));
        if found.problems.is_empty() {
            println!("nothing is wrong");
        }
    }
    match found.problems.len() {
        0 => Ok(()),
        1 => bail!("there is a problem"),
        count => bail!("there are {count} problems"),
    }
}

fn check_folder(folder: &Path, found: &mut Findings) {
    match std::fs::metadata(folder) {
        Err(error) => found.problem(&format!("the data folder {} cannot be read: {error}", folder.display())),
        Ok(data) if !data.is_dir() => found.problem(&format!("{} is no folder", folder.display())),
        Ok(_) => {
            if let Err(error) = tempfile::tempfile_in(folder) {
                found.problem(&format!("the data folder {} cannot be written: {error}", folder.display()));
            }
        }
    }
}

async fn open(common: &Common) -> Result<Arc<dyn ConsistencyCheck>> {
    database::named(common)?.schema_status().await?;
    database::open_to_recount(common, Duration::ZERO).await
}

async fn check_database(storage: &dyn ConsistencyCheck, keys: &KeyFolder, found: &mut Findings) {
    if let Err(problem) = storage.ready().await {
        return found.problem(&problem);
    }
    match storage.check_counters().await {
        Ok(differences) => differences.iter().for_each(|difference| {
            found.problem(&format!(
                "a counter is wrong: {} is {}, counted {}",
                difference.what, difference.stored, difference.counted
            ));
        }),
        Err(problem) => found.problem(&problem),
    }
    match storage.problems(now()).await {
        Ok(problems) => problems.iter().for_each(|problem| found.problem(problem)),
        Err(problem) => found.problem(&problem),
    }
    match storage.notes().await {
        Ok(notes) => notes.iter().for_each(|note| found.note(note)),
        Err(problem) => found.problem(&problem),
    }
    check_keys(storage, keys, found).await;
    check_nodes(storage, found).await;
}

async fn check_keys(storage: &dyn SigningKeys, keys: &KeyFolder, found: &mut Findings) {
    let known = match storage.list_keys().await {
        Ok(known) => known,
        Err(problem) => return found.problem(&problem),
    };
    match known.iter().find(|key| key.state == KeyState::Active) {
        None => found.problem(&"no signing key is active, make one with `pinrail-api key rotate`"),
        Some(active) => {
            if let Err(problem) = keys.load(active) {
                found.problem(&format!("no token can be minted here: {problem:#}"));
            }
        }
    }
    for key in known.iter().filter(|key| key.state != KeyState::Active && keys.has(key.id)) {
        let path = keys.path(key.id);
        found.note(&format!("key {} signs no more, {} can be deleted", key.id, path.display()));
    }
}

async fn check_nodes(storage: &dyn Storage, found: &mut Findings) {
    let (nodes, now) = match (storage.list_nodes().await, storage.now().await) {
        (Ok(nodes), Ok(now)) => (nodes, now),
        (Err(problem), _) | (_, Err(problem)) => return found.problem(&problem),
    };
    let in_service = nodes.iter().filter(|node| !node.retired).collect::<Vec<_>>();
    if in_service.is_empty() {
        found.problem(&"no IPFS node is registered, so nothing can be pinned: start pinrail-worker");
    }
    for node in in_service {
        if !node.is_live(now) {
            found.problem(&format!(
                "node {} was last heard of at {}: start its worker, or `pinrail-api node retire {}`",
                node.id, node.heartbeat, node.id
            ));
        } else if now.since(node.heartbeat) > QUIET {
            found.note(&format!("node {} was last heard of at {}: is its worker running?", node.id, node.heartbeat));
        }
        if !node.addresses.iter().any(Multiaddr::is_public) {
            found.note(&format!(
                "node {} has no public address, so only this network can send it data: set `announce`",
                node.id
            ));
        }
    }
}
