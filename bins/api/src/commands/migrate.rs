//! `migrate`: run, status, revert.

use anyhow::Result;

use crate::database::{make_folder, named};
use crate::settings::{Common, MigrateStep};

/// Do what is asked of the schema.
pub async fn run(step: MigrateStep, common: &Common) -> Result<()> {
    let database = named(common)?;
    match step {
        MigrateStep::Run => {
            make_folder(&common.data_dir)?;
            let run = database.migrate().await?;
            for migration in &run {
                println!("ran {migration}");
            }
            println!("the database {database} is up to date");
        }
        MigrateStep::Revert => match database.revert().await? {
            Some(migration) => println!("reverted {migration}"),
            None => println!("nothing is left to revert"),
        },
        MigrateStep::Status => {
            let status = database.schema_status().await?;
            let lines = [
                ("has", &status.applied),
                ("lacks", &status.pending),
                ("has and this version does not know", &status.newer),
            ];
            for (what, migrations) in lines {
                for migration in migrations {
                    println!("{what} {migration}");
                }
            }
        }
    }
    Ok(())
}
