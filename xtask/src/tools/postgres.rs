//! PostgreSQL's server, from the system's package.

use anyhow::Result;

use super::system;
use crate::environment::Environment;
use crate::progress::Step;

/// See that a throw-away server can be started here.
pub fn ensure(environment: &Environment, step: &Step) -> Result<()> {
    if pinrail_postgres_fixture::check().is_err() {
        system::install(environment, "psql", "postgresql", step)?;
    }
    Ok(pinrail_postgres_fixture::check()?)
}
