//! The Pinning Service API as a client uses it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::Agent;
use ureq::Body;
use ureq::config::ConfigBuilder;
use ureq::http::Response;
use ureq::typestate::AgentScope;

/// A client with one token.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    endpoint: String,
    token: String,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, null where it is empty.
    pub body: Value,
}

impl Answer {
    /// Returns the body, if the status is the wanted one.
    pub fn expect(self, status: u16) -> Result<Value> {
        if self.status != status {
            bail!("status is {}, wanted {status}: {}", self.status, self.body);
        }
        Ok(self.body)
    }
}

impl Client {
    /// Returns a client that waits half a minute.
    pub fn new(endpoint: &str, token: &str) -> Self {
        Self { agent: agent(Duration::from_secs(30)), endpoint: endpoint.to_owned(), token: token.to_owned() }
    }

    /// Returns a client that gives up after `patience`, and makes a new connection for each request: on one that was kept
    /// nobody could tell whether the request arrived.
    pub fn impatient(endpoint: &str, token: &str, patience: Duration) -> Self {
        let agent = configured(patience).max_idle_connections(0).build().into();
        Self { agent, endpoint: endpoint.to_owned(), token: token.to_owned() }
    }

    /// Sends a GET.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.answer(path, |url| self.agent.get(url).header("authorization", self.bearer()).call())
    }

    /// Sends a POST.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.answer(path, |url| self.agent.post(url).header("authorization", self.bearer()).send_json(body))
    }

    /// Sends a DELETE.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.answer(path, |url| self.agent.delete(url).header("authorization", self.bearer()).call())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn answer(&self, path: &str, send: impl FnOnce(&str) -> Result<Response<Body>, ureq::Error>) -> Result<Answer> {
        let url = format!("{}{path}", self.endpoint);
        let mut response = send(&url).with_context(|| format!("{url} does not answer"))?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string()?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).with_context(|| format!("{url} answers no JSON: {text}"))?,
        };
        Ok(Answer { status, body })
    }
}

/// Returns whether a health address answers that all is well.
pub fn is_ready(url: &str) -> bool {
    agent(Duration::from_secs(2)).get(url).call().is_ok_and(|response| response.status().is_success())
}

fn agent(timeout: Duration) -> Agent {
    configured(timeout).build().into()
}

fn configured(timeout: Duration) -> ConfigBuilder<AgentScope> {
    // Everything is on loopback.
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(timeout)).proxy(None)
}
