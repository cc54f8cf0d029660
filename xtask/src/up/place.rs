//! Where a run keeps its data: in `.pinrail`, on a database of somebody's, or on a server that goes with it.

use std::path::PathBuf;

use anyhow::Result;
use pinrail_testbed::environment::{Environment, root};
use pinrail_testbed::postgres::{Server, ServerOptions};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::Options;
use crate::progress::Step;
use crate::tools;

/// The data folder and the database.
pub struct Place {
    /// The data folder.
    pub folder: PathBuf,
    /// The database's URL; without one it is SQLite in the data folder.
    pub database: Option<String>,
    /// What goes with the run.
    _thrown_away: Option<(Server, TempDir)>,
}

impl Place {
    /// What the options ask for.
    pub fn find(environment: &Environment, options: &Options) -> Result<Self> {
        let folder = root().join(".pinrail");
        let Some(url) = &options.database else {
            let usual = Self { folder, database: None, _thrown_away: None };
            return if options.postgres { Self::thrown_away(environment) } else { Ok(usual) };
        };
        // Keys and blocks belong to one database.
        let name = format!("{:x}", Sha256::digest(url));
        Ok(Self { folder: folder.join("databases").join(&name[..16]), database: Some(url.clone()), _thrown_away: None })
    }

    fn thrown_away(environment: &Environment) -> Result<Self> {
        let step = Step::start("server");
        tools::ensure_postgres(environment, &step)?;
        let server = Server::start(&ServerOptions { durable: true, ..ServerOptions::default() })?;
        let database = server.url(&server.create()?);
        let folder = tempfile::Builder::new().prefix("pinrail-up-").tempdir()?;
        step.done(&format!("PostgreSQL on port {}, for this run alone", server.port()));
        Ok(Self { folder: folder.path().to_owned(), database: Some(database), _thrown_away: Some((server, folder)) })
    }
}
