//! `backup`: everything that the database holds and the private signing keys, in one file.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use pinrail_domain::{KeyState, PublicKeyRecord};
use pinrail_storage_diesel::transfer;
use tempfile::NamedTempFile;

use super::progress::Progress;
use crate::database::{self, named};
use crate::keys::{KeyFolder, sync_folder};
use crate::settings::Common;
use crate::system::now;

/// What a tar archive of ours begins with.
const BEGINNING: &[u8] = b"manifest.json\0";

/// Write a backup to `to`, whole or not at all.
pub async fn run(to: &Path, common: &Common, keys: &KeyFolder) -> Result<()> {
    check_replaceable(to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("{} cannot be written", to.display());
    // It is for its owner alone from the beginning, and goes if anything fails.
    let file = tempfile::Builder::new().prefix(".pinrail-backup-").tempfile_in(folder).with_context(cannot)?;
    let (mut progress, mut lacking) = (Progress::default(), None);
    let read = |known: &[PublicKeyRecord]| {
        lacking = what_lacks(known, keys);
        keys.read_all()
    };
    let writer = BufWriter::with_capacity(1 << 20, file.as_file());
    let written = transfer::back_up(&named(common)?, read, writer, now(), &mut |moved| progress.tell(moved)).await?;
    keep(file, folder, to).with_context(cannot)?;
    note(to, common).await;
    if let Some(why) = lacking {
        eprintln!("warning: with this backup alone no token can be minted: {why:#}");
    }
    let private = written.keys.len();
    println!("{}: {}, {private} private keys", to.display(), progress.summary());
    println!(
        "it holds neither the blocks nor the settings, and whoever reads it can mint tokens: keep it elsewhere, and safe"
    );
    Ok(())
}

/// Note the backup in the audit log. A database that takes no writes, on a full disk for instance, is backed up all the
/// same.
async fn note(to: &Path, common: &Common) {
    let noted = async {
        let storage = database::open(common, Duration::ZERO).await?;
        let now = storage.now().await?;
        let noted = storage.note("backup", &to.display().to_string(), now).await;
        storage.close().await;
        anyhow::Ok(noted?)
    };
    if let Err(why) = noted.await {
        eprintln!("warning: the backup is not in the audit log: {why:#}");
    }
}

/// Why the key that signs is of no use with what is here, if it is not.
fn what_lacks(known: &[PublicKeyRecord], keys: &KeyFolder) -> Option<Error> {
    let active = known.iter().find(|key| key.state == KeyState::Active)?;
    keys.load(active).err()
}

/// A backup may be replaced by the next one; anything else was named by mistake.
fn check_replaceable(to: &Path) -> Result<()> {
    let mut beginning = [0; BEGINNING.len()];
    let Ok(mut file) = File::open(to) else { return Ok(()) };
    if file.read_exact(&mut beginning).is_err() || beginning != BEGINNING {
        bail!("{} is there and is no backup, name another file", to.display());
    }
    Ok(())
}

fn keep(file: NamedTempFile, folder: &Path, to: &Path) -> std::io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(to)?;
    sync_folder(folder)
}
