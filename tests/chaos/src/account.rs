//! One account as its clients share it: where they send requests, and what they know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Error, Result};
use pinrail_testbed::instance::client::{Answer, Client};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::fixtures::Fixtures;
use super::history::History;
use super::model::{Item, Model, Place};

/// How long a client waits for an answer before it calls the outcome unknown.
const PATIENCE: Duration = Duration::from_secs(4);

/// Pins in a page of a walk.
const PAGE: usize = 10;

/// What all clients of an account share.
pub struct Account {
    pub name: String,
    pub fixtures: Arc<Fixtures>,
    /// For each provider where the workers find it.
    pub origins: Vec<String>,
    pub history: Arc<History>,
    /// One for each api, through the proxy before it.
    clients: Vec<Client>,
    model: Mutex<Model>,
}

/// What a request came to.
#[derive(Debug)]
pub enum Outcome {
    /// 200 or 202.
    Done(Value),
    /// Another answer that says that nothing was done.
    Refused(u16, Value),
    /// No answer, or one that leaves it open.
    Unknown,
}

impl Account {
    pub fn new(
        name: &str,
        token: &str,
        ports: &[u16],
        fixtures: Arc<Fixtures>,
        origins: Vec<String>,
        history: Arc<History>,
    ) -> Self {
        let client = |port: &u16| Client::impatient(&format!("http://127.0.0.1:{port}"), token, PATIENCE);
        let clients = ports.iter().map(client).collect();
        Self { name: name.to_owned(), fixtures, origins, history, clients, model: Mutex::default() }
    }

    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Any of the apis.
    pub fn client(&self, rng: &mut StdRng) -> &Client {
        &self.clients[rng.random_range(0..self.clients.len())]
    }

    /// Ask for a pin while all is well, by a path that adds or replaces, and note it in the model; where, and the answer.
    pub fn add_surely(
        &self,
        client: &Client,
        path: &str,
        (cid, name): (&str, &str),
        origins: &[String],
    ) -> Result<(Place, Value)> {
        let (place, floor) = self.model().ask(cid, name, BTreeMap::new());
        let answer = client.post(path, &json!({ "cid": cid, "name": name, "origins": origins }))?.expect(202)?;
        self.model().added(place, &floor, &answer).map_err(Error::msg)?;
        Ok((place, answer))
    }

    /// Write down a request with its answer, and say what it came to.
    pub fn outcome(&self, who: &str, what: &Value, answer: Result<Answer>) -> Outcome {
        let (outcome, seen) = match answer {
            Ok(Answer { status: 200 | 202, body }) => {
                let seen = shortened(&body);
                (Outcome::Done(body), seen)
            }
            // Whoever is told that it cannot be done now is not told that it was not done.
            Ok(Answer { status: status @ (502..=599 | 429), body }) => {
                self.history.count(&format!("answers {status}"));
                (Outcome::Unknown, json!({ "status": status, "body": body }))
            }
            Ok(Answer { status, body }) => {
                let seen = json!({ "status": status, "body": body });
                (Outcome::Refused(status, body), seen)
            }
            Err(error) => {
                self.history.count("requests without an answer");
                (Outcome::Unknown, json!({ "error": format!("{error:#}") }))
            }
        };
        self.history.note(who, &json!({ "asked": what, "answer": seen }));
        outcome
    }

    /// Walk through all pins page by page, as Kubo does; none if it was broken off.
    pub fn walk(&self, who: &str, rng: &mut StdRng) -> Option<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        loop {
            let before = items.last().map_or(String::new(), |item| format!("&before={}", item.created));
            let path = format!("/pins?status=queued,pinning,pinned,failed&limit={PAGE}{before}");
            let answer = self.client(rng).get(&path);
            let Outcome::Done(page) = self.expect_done(who, &json!({ "list": path }), answer) else { return None };
            let results = page["results"].as_array().map_or(&[][..], Vec::as_slice);
            let count = page["count"].as_u64().unwrap_or_default();
            let is_last = results.len() < PAGE;
            if (is_last && count != results.len() as u64) || (!is_last && count < PAGE as u64) {
                self.history.breach(who, &format!("{path}: count is {count}, and there are {}", results.len()));
                return None;
            }
            match results.iter().map(Item::read).collect::<Result<Vec<_>, _>>() {
                Ok(page) => items.extend(page),
                Err(text) => {
                    self.history.breach(who, &text);
                    return None;
                }
            }
            if is_last {
                return Some(items);
            }
        }
    }

    /// A refusal of what must not be refused is a breach.
    pub fn expect_done(&self, who: &str, what: &Value, answer: Result<Answer>) -> Outcome {
        let outcome = self.outcome(who, what, answer);
        if let Outcome::Refused(status, body) = &outcome {
            self.history.breach(who, &format!("{what} was answered {status}: {body}"));
        }
        outcome
    }

    /// Note what the model finds wrong.
    pub fn hold(&self, who: &str, result: Result<(), String>) {
        if let Err(text) = result {
            self.history.breach(who, &text);
        }
    }
}

/// An answer as the history keeps it: of a page which requests it has, and how they stand.
fn shortened(body: &Value) -> Value {
    let Some(results) = body["results"].as_array() else { return body.clone() };
    let status = |item: &Value| json!([item["pin"]["name"], item["status"]]);
    json!({ "count": body["count"], "results": results.iter().map(status).collect::<Vec<_>>() })
}
