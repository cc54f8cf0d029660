//! A part of the test run, and what it counts.

use std::fmt::Write;
use std::sync::OnceLock;

use anyhow::{Error, Result, anyhow};
use pinrail_testbed::environment::Environment;
use pinrail_testbed::programs::{self, Binaries, Programs};

use super::{Histories, e2e};
use crate::progress::Step;

/// Something that is run and counted by itself.
pub struct Part {
    pub name: &'static str,
    pub about: &'static str,
    pub run: Run,
}

/// The way a part is run.
pub enum Run {
    /// By a function of its own.
    Own(fn(&Context, &Step) -> Result<Tally>),
    /// As the tests of tests/e2e in the module with the part's name.
    EndToEnd,
}

impl Part {
    /// Run it. That no test ran is a failure, or a part whose tests were renamed would pass for ever.
    pub fn run(&self, context: &Context, step: &Step) -> Tally {
        let tally = match self.run {
            Run::Own(run) => run(context, step),
            Run::EndToEnd => e2e::run(self.name, context, step),
        };
        let tally = tally.unwrap_or_else(Tally::from);
        if tally.is_empty() { Tally::from(anyhow!("no test ran")) } else { tally }
    }
}

/// The programs and settings that every part may use.
pub struct Context {
    pub environment: Environment,
    pub histories: Histories,
    programs: OnceLock<Programs>,
}

impl Context {
    pub fn new(environment: &Environment, histories: &Histories) -> Self {
        let (environment, histories) = (environment.clone(), histories.clone());
        Self { environment, histories, programs: OnceLock::new() }
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
        let programs = programs::workspace(&self.environment, &|line| step.detail(line))?;
        Ok(self.programs.get_or_init(|| programs).clone())
    }
}

/// The counts of a part. A part that could not run at all is one failure.
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

    fn is_empty(&self) -> bool {
        self.passed == 0 && self.failed.is_empty() && self.skipped.is_empty()
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
