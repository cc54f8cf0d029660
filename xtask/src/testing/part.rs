//! A part of the test run, and what it counts.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use anyhow::{Error, Result};
use pinrail_postgres_fixture::Server;

use crate::building::{self, Binaries, Programs};
use crate::environment::Environment;
use crate::progress::Step;
use crate::testing::Histories;

/// Something that is run and counted by itself.
pub struct Part {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Context, &Step) -> Result<Tally>,
}

/// What every part may use.
pub struct Context {
    pub environment: Environment,
    pub histories: Histories,
    programs: OnceLock<Programs>,
    /// The server on which every check gets a database; without one they use SQLite.
    server: Option<Arc<Server>>,
}

impl Context {
    pub fn new(environment: &Environment, histories: &Histories) -> Self {
        let (environment, histories) = (environment.clone(), histories.clone());
        Self { environment, histories, programs: OnceLock::new(), server: None }
    }

    /// The same, on a PostgreSQL server.
    pub fn on(&self, server: &Arc<Server>) -> Self {
        Self {
            programs: self.programs.clone(),
            server: Some(Arc::clone(server)),
            ..Self::new(&self.environment, &self.histories)
        }
    }

    /// The URL of a new database, if the checks do not use SQLite.
    pub fn fresh_database(&self) -> Result<Option<String>> {
        let Some(server) = &self.server else { return Ok(None) };
        Ok(Some(server.url(&server.create()?)))
    }

    /// The binaries, built by the first part that asks.
    pub fn binaries(&self, step: &Step) -> Result<Binaries> {
        Ok(self.programs(step)?.binaries)
    }

    /// The same with the examples beside them.
    pub fn programs(&self, step: &Step) -> Result<Programs> {
        if let Some(programs) = self.programs.get() {
            return Ok(programs.clone());
        }
        let programs = building::workspace(&self.environment, step)?;
        Ok(self.programs.get_or_init(|| programs).clone())
    }
}

/// What a part counted. A part that could not run at all is one failure.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    /// The name of each failed check and what it said.
    pub failed: Vec<(String, String)>,
    /// The name of each skipped check and why.
    pub skipped: Vec<(String, String)>,
}

impl Tally {
    /// One check that passed.
    pub fn one() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// One check under a name.
    pub fn check(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => self.failed.push((name.to_owned(), format!("{error:#}"))),
        }
    }

    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    pub fn summary(&self) -> String {
        let mut text = format!("{} passed", self.passed);
        for (count, word) in [(self.failed.len(), "FAILED"), (self.skipped.len(), "skipped")] {
            if count > 0 {
                let _ = write!(text, ", {count} {word}");
            }
        }
        text
    }
}

impl From<Error> for Tally {
    fn from(error: Error) -> Self {
        Self { failed: vec![("it ran to its end".to_owned(), format!("{error:#}"))], ..Self::default() }
    }
}
