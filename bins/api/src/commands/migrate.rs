//! `migrate`: run, status, revert.

use anyhow::Result;
use pinrail_storage_diesel::{migrate, revert, schema_status};

use crate::database;
use crate::settings::{Common, MigrateStep};

/// Do what is asked of the schema.
pub fn run(step: MigrateStep, common: &Common) -> Result<()> {
    let path = database::path(common)?;
    match step {
        MigrateStep::Run => {
            database::make_folder(&common.data_dir)?;
            let run = migrate(&path)?;
            for migration in &run {
                println!("ran {migration}");
            }
            println!("the database {} is up to date", path.display());
        }
        MigrateStep::Revert => match revert(&path)? {
            Some(migration) => println!("reverted {migration}"),
            None => println!("nothing is left to revert"),
        },
        MigrateStep::Status => {
            let status = schema_status(&path)?;
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
