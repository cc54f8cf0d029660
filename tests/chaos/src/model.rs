//! What the clients of one account know of its pin requests, and what every list has to agree with.
//!
//! An answer that never came leaves both possible: the request was carried out or not. It is held
//! only to be one of the two for good, and a replace to be whole or not at all. Moments are counted,
//! not timed: what was known before a list was asked for binds that list.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;

use super::filter::Filter;
pub use entry::{Entry, Fate, Item, Moment};

/// A request of the model, by its place.
pub type Place = usize;

/// Everything about one account.
#[derive(Debug, Default)]
pub struct Model {
    entries: Vec<Entry>,
    moment: Moment,
    /// The greatest `created` that was answered.
    last_created: String,
}

impl Model {
    /// The moment before what is asked for next.
    pub fn now(&mut self) -> Moment {
        self.moment += 1;
        self.moment
    }

    pub fn entry(&self, place: Place) -> &Entry {
        &self.entries[place]
    }

    /// Note that a pin is about to be asked for; the place of its request and the greatest `created` so far.
    pub fn ask(&mut self, cid: &str, name: &str, meta: BTreeMap<String, String>) -> (Place, String) {
        self.entries.push(Entry::asked(cid, name, meta));
        (self.entries.len() - 1, self.last_created.clone())
    }

    /// Note that a request is about to be deleted.
    pub fn leave(&mut self, place: Place) {
        let now = self.now();
        self.entries[place].fate = Fate::Leaving(now);
    }

    /// Note that `old` is about to be replaced by `new`, and by nothing else than that unless it is `contested`.
    pub fn replace(&mut self, old: Place, new: Place, contested: bool) {
        self.leave(old);
        self.entries[new].replaces = Some(old);
        self.entries[new].alone = !contested;
    }

    /// Note that `new` surely took the place of what it replaces, though its own answer was lost.
    pub fn surely_replaced(&mut self, new: Place) {
        self.entries[new].alone = true;
    }

    /// Note that a request was answered 202; what is wrong with the answer.
    pub fn added(&mut self, place: Place, floor: &str, answer: &Value) -> Result<(), String> {
        let now = self.now();
        let item = Item::read(answer)?;
        let entry = &mut self.entries[place];
        entry.agrees(&item)?;
        let delegates = answer["delegates"].as_array().map_or(&[][..], Vec::as_slice);
        if delegates.is_empty() || !delegates.iter().all(|address| address.to_string().contains("/p2p/")) {
            return Err(format!("delegates nobody could dial: {answer}"));
        }
        if item.created.as_str() <= floor {
            return Err(format!("created {}, and {floor} was answered before it was asked for", item.created));
        }
        // A list may have shown it already, and somebody have deleted it since.
        if entry.fate == Fate::Asked {
            entry.settle(&item, now);
        }
        if item.created > self.last_created {
            self.last_created = item.created;
        }
        Ok(())
    }

    /// Note that a request is gone for good.
    pub fn gone(&mut self, place: Place) {
        let now = self.now();
        self.entries[place].fate = Fate::Gone(now);
    }

    /// Note that what was asked for was refused, so that it never was.
    pub fn refused(&mut self, place: Place) {
        self.entries[place].fate = Fate::Never;
    }

    /// The places of the requests that surely are there.
    pub fn live(&self) -> Vec<Place> {
        self.places(|fate| matches!(fate, Fate::Live(_)))
    }

    /// The places of the requests that surely are gone.
    pub fn dead(&self) -> Vec<Place> {
        self.places(|fate| matches!(fate, Fate::Gone(_)))
    }

    /// The name of any request that was ever asked for.
    pub fn any_name(&self, rng: &mut StdRng) -> Option<String> {
        self.entries.choose(rng).map(|entry| entry.name.clone())
    }

    /// How many requests were seen pinned.
    pub fn seen_pinned(&self) -> usize {
        self.entries.iter().filter(|entry| entry.was_pinned_before(Moment::MAX)).count()
    }

    fn places(&self, which: impl Fn(&Fate) -> bool) -> Vec<Place> {
        (0..self.entries.len()).filter(|place| which(&self.entries[*place].fate)).collect()
    }

    /// Hold the answer of a GET by id, asked for at `asked`, against what is known; none means 404.
    pub fn check_one(&mut self, place: Place, asked: Moment, found: Option<&Item>) -> Result<(), String> {
        let now = self.now();
        let entry = &mut self.entries[place];
        match (&entry.fate, found) {
            (Fate::Live(since), None) if *since < asked => Err(format!("lost: {entry} is not found")),
            (Fate::Gone(since), Some(_)) if *since < asked => Err(format!("came back: {entry} is found")),
            (Fate::Live(_), Some(item)) => entry.agrees(item).and_then(|()| entry.see_status(item, asked, now)),
            _ => Ok(()),
        }
    }

    /// Hold all pages of a walk that was begun at `begun` against what is known, and learn from it.
    pub fn check_walk(&mut self, begun: Moment, items: &[Item]) -> Result<(), String> {
        let now = self.now();
        let seen = self.see_all(begun, now, items)?;
        for place in 0..self.entries.len() {
            if !seen.contains(&place) {
                self.miss(place, begun, now)?;
            }
            // The newer one stands on the same page or an earlier one, so the older was gone by then.
            if let Some(old) = self.entries[place].replaces
                && seen.contains(&place)
                && seen.contains(&old)
            {
                return Err(format!("half a replace: {} and {} are listed", self.entries[old], self.entries[place]));
            }
        }
        Ok(())
    }

    /// The same for a list that was asked for with a filter.
    pub fn check_filtered(&mut self, begun: Moment, filter: &Filter, items: &[Item]) -> Result<(), String> {
        let now = self.now();
        if let Some(item) = items.iter().find(|item| !filter.lets(item)) {
            return Err(format!("{filter:?} does not let {item:?} through"));
        }
        let seen = self.see_all(begun, now, items).map_err(|text| format!("{filter:?}: {text}"))?;
        for place in 0..self.entries.len() {
            if !seen.contains(&place) && filter.demands(&self.entries[place], begun) {
                self.miss(place, begun, now).map_err(|text| format!("{filter:?}: {text}"))?;
            }
        }
        Ok(())
    }

    /// Hold what is listed against what is known, and learn from it; the places of all that is.
    fn see_all(&mut self, begun: Moment, now: Moment, items: &[Item]) -> Result<HashSet<Place>, String> {
        ordered(items)?;
        let mut seen = HashSet::new();
        for item in items {
            let place = self.place_of(item).ok_or_else(|| format!("a stranger is listed: {item:?}"))?;
            seen.insert(place);
            self.see(place, item, begun, now)?;
        }
        Ok(seen)
    }

    fn place_of(&self, item: &Item) -> Option<Place> {
        let is_it = |entry: &Entry| match &entry.id {
            Some(id) => *id == item.id,
            None => entry.name == item.name,
        };
        self.entries.iter().rposition(is_it)
    }

    /// A listed request.
    fn see(&mut self, place: Place, item: &Item, begun: Moment, now: Moment) -> Result<(), String> {
        let entry = &mut self.entries[place];
        entry.agrees(item)?;
        match entry.fate {
            Fate::Gone(since) if since < begun => Err(format!("came back: {entry} is listed")),
            Fate::Never => Err(format!("{entry} was refused and is listed")),
            Fate::Live(_) => entry.see_status(item, begun, now),
            Fate::Asked => {
                entry.settle(item, now);
                if let Some(old) = entry.replaces
                    && matches!(self.entries[old].fate, Fate::Leaving(_))
                {
                    self.entries[old].fate = Fate::Gone(now);
                }
                Ok(())
            }
            Fate::Gone(_) | Fate::Leaving(_) => Ok(()),
        }
    }

    /// A request that is not listed.
    fn miss(&mut self, place: Place, begun: Moment, now: Moment) -> Result<(), String> {
        let entry = &mut self.entries[place];
        match entry.fate {
            Fate::Live(since) if since < begun => Err(format!("lost: {entry} is not listed")),
            Fate::Leaving(since) if since < begun => {
                entry.fate = Fate::Gone(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Once nothing is under way any more: after a walk, what was in doubt is settled. What is half done.
    pub fn close(&mut self) -> Result<(), String> {
        let now = self.now();
        for entry in &mut self.entries {
            match entry.fate {
                Fate::Asked => entry.fate = Fate::Never,
                Fate::Leaving(_) => entry.fate = Fate::Live(now),
                _ => {}
            }
        }
        for new in &self.entries {
            let Some(old) = new.replaces.map(|old| &self.entries[old]) else { continue };
            let was_made = new.fate != Fate::Never;
            let is_there = matches!(old.fate, Fate::Live(_));
            if was_made && is_there {
                return Err(format!("half a replace: {old} is there, and {new} too"));
            }
            if !was_made && !is_there && new.alone {
                return Err(format!("half a replace: {old} is gone, and {new} did not come for it"));
            }
        }
        Ok(())
    }
}

/// Newest first, each at a moment of its own.
fn ordered(items: &[Item]) -> Result<(), String> {
    match items.windows(2).find(|pair| pair[0].created <= pair[1].created) {
        Some(pair) => Err(format!("{} is listed before {}", pair[0].created, pair[1].created)),
        None => Ok(()),
    }
}
