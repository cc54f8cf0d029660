//! `restore`: an empty database and the private signing keys, filled from a backup.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use pinrail_storage_diesel::transfer::{Backup, Mover, Restoring};

use super::progress::Progress;
use crate::database::{make_folder, named};
use crate::keys::KeyFolder;
use crate::settings::Common;
use crate::system::{now, operator};

/// Restore what the file `from` holds.
pub async fn run(from: &Path, common: &Common, keys: &KeyFolder) -> Result<()> {
    let file = File::open(from).with_context(|| format!("{} cannot be read", from.display()))?;
    let backup = Backup::verify(file).await.with_context(|| from.display().to_string())?;
    keys.check_only(backup.keys())?;
    make_folder(&common.data_dir)?;
    let database = named(common)?;
    let restoring = Restoring::begin(&database).await?;
    // A key without its row signs nothing, a row without its key would be missed: so the keys come first.
    keys.save_all(backup.keys())?;
    let (created, private) = (backup.manifest().created, backup.keys().len());
    let mut progress = Progress::default();
    let (by, file) = (operator(), from.display().to_string());
    let mover = Mover { by: &by, from: &file };
    let arrived = restoring.fill(backup, mover, now(), &mut |moved| progress.tell(moved)).await?;
    println!("restored {database} as it was at {created}: {}, {private} private keys", progress.summary());
    println!(
        "{} roots were pinned then and are queued now: their node finds what it still has and fetches the rest",
        arrived.requeued
    );
    for wrong in &arrived.differences {
        println!("problem: a counter is wrong: {} is {}, counted {}", wrong.what, wrong.stored, wrong.counted);
    }
    Ok(())
}
