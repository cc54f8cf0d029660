//! `database`: copy everything to another one, and put right what a clock that was ahead has left.

use anyhow::Result;
use pinrail_storage_diesel::{Database, Repaired, repair_clock, transfer};

use super::progress::Progress;
use crate::database::{named, parse};
use crate::settings::{Common, DatabaseCommand};
use crate::system::{now, operator};

/// Do what is asked of databases.
pub async fn run(command: DatabaseCommand, common: &Common) -> Result<()> {
    match command {
        DatabaseCommand::Copy { from, to } => {
            let from = parse(&from.unwrap_or_else(|| common.database()))?;
            copy(&from, &parse(&to)?).await
        }
        DatabaseCommand::RepairClock => repair(&named(common)?).await,
    }
}

async fn repair(database: &Database) -> Result<()> {
    let Repaired { now, accounts, requests, roots } = repair_clock(database, &operator(), now()).await?;
    println!("it is {now} now in {database}, and nothing in it is later");
    println!("{requests} pin requests of {accounts} accounts have an earlier `created`, {roots} roots are due now");
    Ok(())
}

async fn copy(from: &Database, to: &Database) -> Result<()> {
    let mut progress = Progress::default();
    transfer::copy(from, to, &operator(), now(), &mut |moved| progress.tell(moved)).await?;
    println!("copied {from} to {to}: {}", progress.summary());
    println!("name the new one in the settings of every program (`database`), then start them");
    Ok(())
}
