//! The real `ipfs` of Kubo as a client: each scenario of its own tests for remote pinning, and more.

mod scenarios;

use anyhow::{Context as _, Result};
use pinrail_chaos::Kind;
use pinrail_e2e::Fixture;
use pinrail_testbed::environment::Environment;
use pinrail_testbed::instance::client::Client;
use pinrail_testbed::kubo::{self, Repository};
use tempfile::TempDir;

/// A running Pinrail and a running Kubo.
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

impl World {
    /// Start both.
    pub fn start() -> Result<Self> {
        let ipfs = kubo::find(&Environment::read())?;
        let fixture = Fixture::start(Kind::Sqlite)?;
        let folder = tempfile::tempdir()?;
        let mut kubo = Repository::init(ipfs, folder.path())?;
        kubo.start().context("the daemon of Kubo")?;
        Ok(Self { kubo, fixture, _folder: folder })
    }

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
