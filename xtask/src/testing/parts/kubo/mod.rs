//! The real `ipfs` of Kubo as a client: each scenario of its own tests for remote pinning, and more.

mod repository;
mod scenarios;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::instance::client::Client;
use crate::progress::Step;
use crate::testing::fixture::Fixture;
use crate::testing::part::{Context, Part, Tally};
use crate::tools::kubo;
use repository::Repository;

pub const KUBO: Part = Part {
    name: "kubo",
    about: "Kubo's own program drives both binaries: service add, add, ls, rm, the MFS policy",
    run: run_scenarios,
};

/// A running Pinrail and a running Kubo; scenarios share them and nothing else.
pub struct World {
    pub kubo: Repository,
    fixture: Fixture,
    /// Where Kubo's repository and the scenarios' files are; last, so that Kubo is gone before it.
    _folder: TempDir,
}

/// An account of its own, known to Kubo under a name.
pub struct Service {
    pub name: &'static str,
    pub token: String,
    pub client: Client,
}

fn run_scenarios(context: &Context, step: &Step) -> Result<Tally> {
    let ipfs = kubo::path(&context.environment, step)?;
    let fixture = Fixture::start(context, step)?;
    let folder = tempfile::tempdir()?;
    let mut kubo = Repository::init(ipfs, folder.path())?;
    kubo.start().context("the daemon of Kubo")?;
    let mut world = World { kubo, fixture, _folder: folder };
    let mut tally = Tally::default();
    for (name, scenario) in scenarios::ALL {
        step.detail(name);
        tally.check(name, scenario(&mut world));
    }
    Ok(tally)
}

impl World {
    /// Give a scenario an account of its own, and tell Kubo of it.
    pub fn service(&self, name: &'static str) -> Result<Service> {
        self.fixture.instance.ensure_account(name)?;
        let token = self.fixture.instance.mint_token(name, "kubo")?;
        let endpoint = self.endpoint();
        self.kubo.run(&["pin", "remote", "service", "add", name, &endpoint, &token])?;
        Ok(Service { name, client: Client::new(&endpoint, &token), token })
    }

    /// The address of Pinrail's API.
    pub fn endpoint(&self) -> String {
        self.fixture.instance.endpoint()
    }

    /// `ipfs pin remote VERB --service=… …`
    pub fn remote(&self, service: &Service, verb: &str, arguments: &[&str]) -> Result<String> {
        self.kubo.run(&words(service, verb, arguments).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same, where Kubo has to refuse; what it said.
    pub fn remote_refused(&self, service: &Service, verb: &str, arguments: &[&str]) -> Result<String> {
        self.kubo.refused(&words(service, verb, arguments).iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn words(service: &Service, verb: &str, arguments: &[&str]) -> Vec<String> {
    let mut words = vec!["pin".to_owned(), "remote".to_owned(), verb.to_owned()];
    words.push(format!("--service={}", service.name));
    words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    words
}
