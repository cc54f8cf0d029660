//! One pin request as its client knows it, and as an answer shows it.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::Place;

/// A moment of a model: a later one is greater.
pub type Moment = u64;

/// What became of a request, as far as its client can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Asked for, and not answered.
    Asked,
    /// There since.
    Live(Moment),
    /// To be deleted or replaced since, and that not answered.
    Leaving(Moment),
    /// Deleted or replaced since.
    Gone(Moment),
    /// Refused.
    Never,
}

/// A request in the model. Names are unique, so that a request whose answer was lost is recognised by its name.
#[derive(Debug)]
pub struct Entry {
    pub cid: String,
    pub name: String,
    pub meta: BTreeMap<String, String>,
    pub id: Option<String>,
    pub fate: Fate,
    pub replaces: Option<Place>,
    /// Whether nothing else may end what it replaces.
    pub alone: bool,
    created: Option<String>,
    pinned: Option<Moment>,
}

impl Entry {
    pub fn asked(cid: &str, name: &str, meta: BTreeMap<String, String>) -> Self {
        let (cid, name) = (cid.to_owned(), name.to_owned());
        let fate = Fate::Asked;
        Self { cid, name, meta, id: None, fate, replaces: None, alone: false, created: None, pinned: None }
    }

    /// Take over what only an answer tells.
    pub fn settle(&mut self, item: &Item, now: Moment) {
        self.id = Some(item.id.clone());
        self.created = Some(item.created.clone());
        self.fate = Fate::Live(now);
        if item.status == "pinned" {
            self.pinned = Some(now);
        }
    }

    /// An error unless the answer shows what was asked for.
    pub fn agrees(&self, item: &Item) -> Result<(), String> {
        let same = self.cid == item.cid
            && self.name == item.name
            && self.meta == item.meta
            && self.id.as_ref().is_none_or(|id| *id == item.id)
            && self.created.as_ref().is_none_or(|created| *created == item.created);
        if same { Ok(()) } else { Err(format!("{self:?} is answered as {item:?}")) }
    }

    /// Whether an answer that was there at `moment` showed it pinned.
    pub fn was_pinned_before(&self, moment: Moment) -> bool {
        self.pinned.is_some_and(|since| since < moment)
    }

    /// Once pinned, always pinned: nobody takes a block away here.
    pub fn see_status(&mut self, item: &Item, asked: Moment, now: Moment) -> Result<(), String> {
        let pinned = item.status == "pinned";
        if !pinned && self.was_pinned_before(asked) {
            return Err(format!("{self} was pinned and is {}", item.status));
        }
        if pinned && self.pinned.is_none() {
            self.pinned = Some(now);
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("without an id");
        write!(formatter, "{} ({id}, {:?})", self.name, self.fate)
    }
}

/// A `PinStatus` of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    pub created: String,
    pub status: String,
    pub cid: String,
    pub name: String,
    pub meta: BTreeMap<String, String>,
}

impl Item {
    /// Read it, or say what is missing.
    pub fn read(answer: &Value) -> Result<Self, String> {
        let text = |value: &Value, what: &str| {
            value.as_str().map(str::to_owned).ok_or_else(|| format!("an answer without {what}: {answer}"))
        };
        let pin = &answer["pin"];
        let meta = pin["meta"].as_object().into_iter().flatten();
        Ok(Self {
            id: text(&answer["requestid"], "requestid")?,
            created: text(&answer["created"], "created")?,
            status: text(&answer["status"], "status")?,
            cid: text(&pin["cid"], "cid")?,
            name: text(&pin["name"], "name")?,
            meta: meta.map(|(key, value)| Ok((key.clone(), text(value, key)?))).collect::<Result<_, String>>()?,
        })
    }
}
