//! A client that adds, replaces, deletes and looks up pins of its account, and believes no answer unchecked.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::account::{Account, Outcome};
use super::filter::KINDS;
use super::model::{Item, Model, Place};

/// About as many requests as an account has at once.
const FULL: usize = 40;

/// A client with its random numbers.
pub struct Pinner<'a> {
    account: &'a Account,
    who: String,
    rng: StdRng,
    made: u32,
}

/// What is asked for.
struct Wish {
    place: Place,
    floor: String,
    body: Value,
}

impl<'a> Pinner<'a> {
    /// The client `number` of an account.
    pub fn new(account: &'a Account, number: u64, seed: u64) -> Self {
        let who = format!("{}/{number}", account.name);
        Self { account, who, rng: StdRng::seed_from_u64(seed), made: 0 }
    }

    /// Go on until the history is over.
    pub fn run(mut self) {
        while !self.account.history.is_over() {
            let many = self.account.model().live().len() >= FULL;
            match self.rng.random_range(0..100) {
                0..35 if !many => self.add(),
                35..50 => self.replace(),
                0..66 => self.delete(),
                66..72 => self.race(),
                _ => self.look_up(),
            }
            thread::sleep(Duration::from_millis(self.rng.random_range(0..60)));
        }
    }

    fn add(&mut self) {
        let wish = self.wish();
        let answer = self.account.client(&mut self.rng).post("/pins", &wish.body);
        let what = json!({ "add": wish.body });
        let outcome = self.account.expect_done(&self.who, &what, answer);
        self.made(&wish, &outcome);
    }

    fn replace(&mut self) {
        let wish = self.wish();
        let Some((old, id)) = self.pick(|model, old| model.replace(old, wish.place, false)) else {
            return self.account.model().refused(wish.place);
        };
        let answer = self.account.client(&mut self.rng).post(&format!("/pins/{id}"), &wish.body);
        let what = json!({ "replace": id, "by": wish.body });
        let outcome = self.account.expect_done(&self.who, &what, answer);
        if self.made(&wish, &outcome) {
            self.account.history.count("replaced");
            self.account.model().gone(old);
        }
    }

    fn delete(&mut self) {
        let Some((place, id)) = self.pick(Model::leave) else { return };
        let answer = self.account.client(&mut self.rng).delete(&format!("/pins/{id}"));
        if let Outcome::Done(_) = self.account.expect_done(&self.who, &json!({ "delete": id }), answer) {
            self.account.history.count("deleted");
            self.account.model().gone(place);
        }
    }

    /// A delete and a replace of one request at once: exactly one is answered 202, the other 404. Either answer tells
    /// what became of the other request, should its own be lost.
    fn race(&mut self) {
        let wish = self.wish();
        let Some((old, id)) = self.pick(|model, old| model.replace(old, wish.place, true)) else {
            return self.account.model().refused(wish.place);
        };
        let path = format!("/pins/{id}");
        let (one, other) = (self.account.client(&mut self.rng).clone(), self.account.client(&mut self.rng).clone());
        let (deleted, replaced) = thread::scope(|scope| {
            let deleting = scope.spawn(|| one.delete(&path));
            let replaced = other.post(&path, &wish.body);
            (deleting.join().expect("a request does not panic"), replaced)
        });
        let deleted = self.account.outcome(&self.who, &json!({ "delete, contested": id }), deleted);
        let what = json!({ "replace, contested": id, "by": wish.body });
        let replaced = self.account.outcome(&self.who, &what, replaced);
        self.made(&wish, &replaced);
        match (&deleted, &replaced) {
            (Outcome::Unknown, Outcome::Unknown) => return,
            (Outcome::Done(_), Outcome::Unknown) => self.account.model().refused(wish.place),
            (Outcome::Refused(404, _), Outcome::Unknown) => self.account.model().surely_replaced(wish.place),
            (Outcome::Done(_) | Outcome::Unknown, Outcome::Refused(404, _))
            | (Outcome::Refused(404, _) | Outcome::Unknown, Outcome::Done(_)) => {}
            _ => self.account.history.breach(&self.who, &format!("{id}: {deleted:?} and {replaced:?}")),
        }
        self.account.history.count("contested");
        self.account.model().gone(old);
    }

    fn look_up(&mut self) {
        let chosen = {
            let mut model = self.account.model();
            let places = if self.rng.random_ratio(1, 3) { model.dead() } else { model.live() };
            let place = places.choose(&mut self.rng).copied();
            place.and_then(|place| Some((place, model.entry(place).id.clone()?, model.now())))
        };
        let Some((place, id, asked)) = chosen else { return };
        let answer = self.account.client(&mut self.rng).get(&format!("/pins/{id}"));
        let found = match self.account.outcome(&self.who, &json!({ "look up": id }), answer) {
            Outcome::Unknown => return,
            Outcome::Refused(404, _) => Ok(None),
            Outcome::Refused(status, body) => Err(format!("{id} was answered {status}: {body}")),
            Outcome::Done(body) => Item::read(&body).map(Some),
        };
        let checked = found.and_then(|found| self.account.model().check_one(place, asked, found.as_ref()));
        self.account.hold(&self.who, checked);
        self.account.history.count("looked up");
    }

    /// A pin to ask for, in the model already.
    fn wish(&mut self) -> Wish {
        self.made += 1;
        let fixtures = &self.account.fixtures;
        let dag = fixtures.dags.choose(&mut self.rng).expect("there is something to pin");
        let cid = if self.rng.random_ratio(1, 4) { &dag.spelt } else { &dag.cid };
        let name = format!("{}/{}", self.who, self.made);
        let mut meta = BTreeMap::new();
        if self.rng.random_ratio(1, 2) {
            meta.insert("kind".to_owned(), self.rng.random_range(0..KINDS).to_string());
        }
        // Some say where it is, some leave that to others, some are wrong.
        let origins: Vec<&String> = match (dag.provider, self.rng.random_range(0..4)) {
            (Some(provider), 0..3) => vec![&self.account.origins[provider]],
            (_, 0) => Vec::new(),
            _ => self.account.origins.iter().collect(),
        };
        let body = json!({ "cid": cid, "name": name, "meta": meta, "origins": origins });
        let (place, floor) = self.account.model().ask(cid, &name, meta);
        Wish { place, floor, body }
    }

    /// Note what became of a wish; whether it was granted.
    fn made(&self, wish: &Wish, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Done(answer) => {
                self.account.history.count("answered 202");
                let added = self.account.model().added(wish.place, &wish.floor, answer);
                self.account.hold(&self.who, added);
                true
            }
            Outcome::Refused(..) => {
                self.account.model().refused(wish.place);
                false
            }
            Outcome::Unknown => false,
        }
    }

    /// Choose a request that is there, and note what is about to be done with it before anybody else chooses it.
    fn pick(&mut self, note: impl FnOnce(&mut Model, Place)) -> Option<(Place, String)> {
        let mut model = self.account.model();
        let place = *model.live().choose(&mut self.rng)?;
        let id = model.entry(place).id.clone()?;
        note(&mut model, place);
        Some((place, id))
    }
}
