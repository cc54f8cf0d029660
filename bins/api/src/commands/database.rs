//! `database copy`: everything to another database.

use anyhow::Result;
use pinrail_storage_diesel::{Database, transfer};

use super::progress::Progress;
use crate::database::parse;
use crate::settings::{Common, DatabaseCommand};
use crate::system::{now, operator};

/// Do what is asked of databases.
pub async fn run(command: DatabaseCommand, common: &Common) -> Result<()> {
    let DatabaseCommand::Copy { from, to } = command;
    let from = parse(&from.unwrap_or_else(|| common.database()))?;
    copy(&from, &parse(&to)?).await
}

async fn copy(from: &Database, to: &Database) -> Result<()> {
    let mut progress = Progress::default();
    transfer::copy(from, to, &operator(), now(), &mut |moved| progress.tell(moved)).await?;
    println!("copied {from} to {to}: {}", progress.summary());
    println!("name the new one in the settings of every program (`database`), then start them");
    Ok(())
}
