//! A filter of a list, and what is known of its answer whatever goes wrong.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::account::Account;
use super::model::{Entry, Item, Moment};

/// The values that `kind` has in the meta of pins.
pub const KINDS: u32 = 3;

/// Which pins are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// This name.
    Exact(String),
    /// This name in capitals, whatever its case.
    Iexact(String),
    /// This part of the name.
    Partial(String),
    /// This root, asked for by the first of the spellings.
    Root([String; 2]),
    /// This status.
    Status(&'static str),
    /// This `kind` in the meta.
    Kind(String),
}

impl Filter {
    /// Any filter by which an account can find something.
    pub fn draw(account: &Account, rng: &mut StdRng) -> Self {
        let name = account.model().any_name(rng).unwrap_or_default();
        let dag = account.fixtures.dags.choose(rng).expect("there is something to pin");
        match rng.random_range(0..9) {
            0 if !name.is_empty() => Self::Exact(name),
            1 if !name.is_empty() => Self::Iexact(name.to_uppercase()),
            2 if !name.is_empty() => Self::Partial(name[1..].to_owned()),
            0..4 => Self::Root([dag.cid.clone(), dag.spelt.clone()]),
            4 => Self::Root([dag.spelt.clone(), dag.cid.clone()]),
            5 | 6 => Self::Kind(rng.random_range(0..KINDS).to_string()),
            7 => Self::Status("pinned"),
            _ => Self::Status(["queued", "pinning", "failed"].choose(rng).expect("there are three")),
        }
    }

    /// Its part of the query.
    pub fn query(&self) -> String {
        let any = "status=queued,pinning,pinned,failed";
        match self {
            Self::Exact(name) => format!("{any}&name={name}"),
            Self::Iexact(name) => format!("{any}&match=iexact&name={name}"),
            Self::Partial(part) => format!("{any}&match=partial&name={part}"),
            Self::Root([cid, _]) => format!("{any}&cid={cid}"),
            Self::Status(status) => format!("status={status}"),
            Self::Kind(kind) => {
                let meta = json!({ "kind": kind }).to_string();
                let quoted = meta.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
                format!("{any}&meta={quoted}")
            }
        }
    }

    /// Whether it lets an item through.
    pub fn lets(&self, item: &Item) -> bool {
        match self {
            Self::Status(status) => item.status == *status,
            other => other.fits(&item.cid, &item.name, item.meta.get("kind")),
        }
    }

    /// Whether a list begun at `begun` has to show a request that is there. Of statuses only one is never left again.
    pub fn demands(&self, entry: &Entry, begun: Moment) -> bool {
        match self {
            Self::Status(status) => *status == "pinned" && entry.was_pinned_before(begun),
            other => other.fits(&entry.cid, &entry.name, entry.meta.get("kind")),
        }
    }

    fn fits(&self, cid: &str, name: &str, kind: Option<&String>) -> bool {
        match self {
            Self::Exact(wanted) => name == wanted,
            Self::Iexact(wanted) => name.to_uppercase() == *wanted,
            Self::Partial(part) => name.contains(part),
            Self::Root(spellings) => spellings.iter().any(|spelling| spelling == cid),
            Self::Kind(wanted) => kind == Some(wanted),
            Self::Status(_) => true,
        }
    }
}
