//! The filters of `GET /pins`.

mod spelling;

use std::collections::BTreeMap;
use std::str::FromStr;

use thiserror::Error;

use self::spelling::Meaning;
use crate::json::{Json, JsonError};
use crate::pin::{MAX_NAME, check_pair, check_text, read_pairs, shorten};
use crate::query::{self, Parameter};
use crate::{Cid, RootKey, Status, Timestamp};

/// The most CIDs in one filter; the specification says 10, clients send more.
const MAX_CIDS: usize = 100;
/// The most pairs of meta in one filter: each is a look-up of its own.
const MAX_META_PAIRS: usize = 16;
/// How many pins a page has at most, unless the client says otherwise.
const DEFAULT_LIMIT: u16 = 10;
/// The most pins that a client may ask for at once.
const MAX_LIMIT: u16 = 1_000;

/// Alternative text matching strategy
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "utoipa", schema(as = TextMatchingStrategy, rename_all = "lowercase", default = "exact"))]
pub enum Match {
    /// The whole name, case-sensitive.
    #[default]
    Exact,
    /// The whole name, ignoring case.
    Iexact,
    /// Part of the name, case-sensitive.
    Partial,
    /// Part of the name, ignoring case.
    Ipartial,
}

impl FromStr for Match {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "exact" => Ok(Self::Exact),
            "iexact" => Ok(Self::Iexact),
            "partial" => Ok(Self::Partial),
            "ipartial" => Ok(Self::Ipartial),
            _ => Err(()),
        }
    }
}

/// A name and how it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilter {
    /// The name or the part of it, as it was sent.
    pub text: String,
    /// How it is compared.
    pub matching: Match,
}

/// Which pins to list; every part that is given has to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinFilter {
    /// One of these roots; empty for any. A root whose codec is never pinned matches nothing.
    pub roots: Vec<RootKey>,
    /// Its name.
    pub name: Option<NameFilter>,
    /// One of these; never empty (see [`PinFilter::parse`] for what an absent filter means).
    pub statuses: Vec<Status>,
    /// Created before this moment, exclusive.
    pub before: Option<Timestamp>,
    /// Created after this moment, exclusive.
    pub after: Option<Timestamp>,
    /// Every pair has to be there.
    pub meta: BTreeMap<String, String>,
    /// How many at most, 1 to 1000.
    pub limit: u16,
}

/// Why a query is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct FilterError(pub String);

impl From<String> for FilterError {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl PinFilter {
    /// Read the raw query of `GET /pins`.
    ///
    /// Lists come comma-separated or as repeated parameters, also with brackets (`cid[]=`, `status[0]=`), an empty
    /// value counts as absent, and a parameter that the specification does not know is ignored. `meta` is a JSON
    /// object or `meta[key]=value`, as the JavaScript client sends it. A known parameter in a spelling that is not
    /// understood is an error.
    ///
    /// Without a status filter only `pinned` ones are listed, unless a name is given: the
    /// specification says so, but clients look up by name what they have just added.
    /// `literal_status_rule` keeps to the specification.
    pub fn parse(query: &str, literal_status_rule: bool) -> Result<Self, FilterError> {
        let mut sent = Sent::default();
        for parameter in query::split(query, |name| spelling::resembled(name).is_some())? {
            sent.take(&parameter)?;
        }
        let matching = sent.matching.unwrap_or_default();
        let name = sent.name.map(|text| NameFilter { text, matching });
        let every_status = name.is_some() && !literal_status_rule;
        if sent.statuses.is_empty() {
            let absent = if every_status { &Status::ALL[..] } else { &[Status::Pinned] };
            sent.statuses.extend_from_slice(absent);
        }
        Ok(Self {
            roots: sent.roots,
            name,
            statuses: sent.statuses,
            before: sent.before,
            after: sent.after,
            meta: sent.meta,
            limit: sent.limit.unwrap_or(DEFAULT_LIMIT),
        })
    }
}

/// What was sent, as far as it was read.
#[derive(Default)]
struct Sent {
    cids: usize,
    roots: Vec<RootKey>,
    name: Option<String>,
    matching: Option<Match>,
    statuses: Vec<Status>,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    limit: Option<u16>,
    meta: BTreeMap<String, String>,
}

impl Sent {
    fn take(&mut self, parameter: &Parameter<'_>) -> Result<(), String> {
        let (name, meta_key) = match spelling::read(&parameter.name)? {
            Meaning::Unknown => return Ok(()),
            Meaning::Filter(name) => (name, None),
            Meaning::MetaKey(key) => ("meta", Some(key)),
        };
        let value = parameter.value()?;
        if value.is_empty() {
            return Ok(());
        }
        match (name, meta_key) {
            (_, Some(key)) => self.take_pair(key.to_owned(), value),
            ("cid", _) => items(&value).try_for_each(|item| self.take_cid(item)),
            ("status", _) => items(&value).try_for_each(|item| self.take_status(item)),
            ("name", _) => set(&mut self.name, name, read_name(value)?),
            ("match", _) => set(&mut self.matching, name, read_match(&value)?),
            ("before", _) => set(&mut self.before, name, read_time(name, &value, Timestamp::parse_ceil)?),
            ("after", _) => set(&mut self.after, name, read_time(name, &value, Timestamp::parse_floor)?),
            ("limit", _) => set(&mut self.limit, name, read_limit(&value)?),
            _ => self.take_meta(&value),
        }
    }

    fn take_cid(&mut self, text: &str) -> Result<(), String> {
        self.cids += 1;
        if self.cids > MAX_CIDS {
            return Err(format!("cid has more than {MAX_CIDS} values, wanted at most {MAX_CIDS}"));
        }
        let root = Cid::parse_any_codec(text).map_err(|error| format!("cid {}: {error}", shorten(text)))?;
        if !self.roots.contains(&root) {
            self.roots.push(root);
        }
        Ok(())
    }

    fn take_status(&mut self, text: &str) -> Result<(), String> {
        let status = text
            .parse()
            .map_err(|()| format!("status is {}, wanted queued, pinning, pinned or failed", shorten(text)))?;
        if !self.statuses.contains(&status) {
            self.statuses.push(status);
        }
        Ok(())
    }

    fn take_meta(&mut self, text: &str) -> Result<(), String> {
        if text.starts_with("map[") {
            return Err(
                "meta is a Go map printed as text (map[k:v]), wanted a JSON object such as {\"k\":\"v\"}".to_owned()
            );
        }
        let json = Json::parse(text.as_bytes()).map_err(|error| match error {
            JsonError::Syntax(what) => format!("meta is not JSON, wanted an object such as {{\"k\":\"v\"}}: {what}"),
            doubled @ JsonError::Doubled(_) => format!("meta: {doubled}"),
        })?;
        let pairs = read_pairs(json.into_object("meta")?)?;
        pairs.into_iter().try_for_each(|(key, value)| self.take_pair(key, value))
    }

    fn take_pair(&mut self, key: String, value: String) -> Result<(), String> {
        check_pair(&key, &value)?;
        if self.meta.contains_key(&key) {
            return Err(format!("meta[{}] is given twice, wanted it once", shorten(&key)));
        }
        self.meta.insert(key, value);
        if self.meta.len() > MAX_META_PAIRS {
            return Err(format!("meta has more than {MAX_META_PAIRS} pairs, wanted at most {MAX_META_PAIRS}"));
        }
        Ok(())
    }
}

/// The items of a comma-separated list, empty ones left out.
fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').filter(|item| !item.is_empty())
}

fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice, wanted it once")),
    }
}

fn read_name(value: String) -> Result<String, String> {
    check_text("name", &value, MAX_NAME)?;
    Ok(value)
}

fn read_match(value: &str) -> Result<Match, String> {
    value.parse().map_err(|()| format!("match is {}, wanted exact, iexact, partial or ipartial", shorten(value)))
}

/// Read a date-time; a `+` that was not percent-encoded arrives as a space before the offset.
fn read_time(name: &str, value: &str, parse: impl Fn(&str) -> Option<Timestamp>) -> Result<Timestamp, String> {
    let with_plus = || value.rsplit_once(' ').map(|(moment, offset)| format!("{moment}+{offset}"));
    parse(value).or_else(|| parse(&with_plus()?)).ok_or_else(|| {
        let value = shorten(value);
        format!("{name} is {value}, wanted an RFC 3339 date-time such as 2020-07-27T17:32:28.000Z")
    })
}

fn read_limit(value: &str) -> Result<u16, String> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let limit = value.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| {
        let integer = value.strip_prefix('-').unwrap_or(value).bytes().all(|b| b.is_ascii_digit());
        let found = if integer && value.len() <= 20 { value.to_owned() } else { shorten(value) };
        let wanted = if integer { "1 to 1000" } else { "an integer from 1 to 1000" };
        format!("limit is {found}, wanted {wanted}")
    })
}
