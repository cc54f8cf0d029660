//! The PostgreSQL server that is measured on.

use anyhow::Result;
use pinrail_testbed::environment::Environment;
use pinrail_testbed::postgres::ServerOptions;

use crate::progress::Step;
use crate::tools;

/// A server, on which databases are made beside the one that the URL names.
pub struct Server {
    url: String,
    /// One that was started for this, as its package installs it: each commit waits for the disk.
    _own: Option<pinrail_testbed::postgres::Server>,
}

impl Server {
    /// The server with this URL, or one that ends with this program.
    pub fn find(environment: &Environment, url: Option<&str>, step: &Step) -> Result<Self> {
        if let Some(url) = url {
            return Ok(Self { url: url.to_owned(), _own: None });
        }
        tools::ensure_postgres(environment, step)?;
        let own =
            pinrail_testbed::postgres::Server::start(&ServerOptions { durable: true, ..ServerOptions::default() })?;
        Ok(Self { url: own.url("postgres"), _own: Some(own) })
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}
