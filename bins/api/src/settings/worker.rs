//! The section of the settings file that pinrail-worker reads, as far as `check` can judge it without that program: which
//! settings there are and what they are written like.

use toml::Value;

use super::commands::{duration, size};
use super::file::text;

/// What a setting is written like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    List,
    Number,
    Bool,
    Time,
    Size,
}

/// Every setting of the section. A test holds them against docs/operating.md, and so does one of the worker's.
pub const SETTINGS: [(&str, Kind); 16] = [
    ("health", Kind::Text),
    ("listen", Kind::List),
    ("announce", Kind::List),
    ("allow-private", Kind::Bool),
    ("slots", Kind::Number),
    ("lease", Kind::Time),
    ("first-retry", Kind::Time),
    ("max-retry", Kind::Time),
    ("time-limit", Kind::Time),
    ("rotation", Kind::Time),
    ("stall", Kind::Time),
    ("pause", Kind::Time),
    ("max-root-size", Kind::Size),
    ("reserve", Kind::Size),
    ("ballast", Kind::Size),
    ("drain", Kind::Time),
];

/// Everything that is wrong with the section, each in one line.
pub fn problems(section: &Value) -> Vec<String> {
    let Value::Table(table) = section else {
        return vec!["worker is a value, wanted a section [worker]".to_owned()];
    };
    table.iter().filter_map(|(key, value)| problem(key, value)).map(|what| format!("[worker] {what}")).collect()
}

fn problem(key: &str, value: &Value) -> Option<String> {
    let Some((_, kind)) = SETTINGS.iter().find(|(name, _)| *name == key) else {
        let names = SETTINGS.map(|(name, _)| name).join(", ");
        return Some(format!("{key} is no setting, wanted one of {names}"));
    };
    if let (Kind::List, Value::Array(items)) = (kind, value) {
        let plain = items.iter().all(|item| matches!(item, Value::String(_)));
        return (!plain).then(|| format!("{key} is a list of other things than text"));
    }
    let Some(written) = text(value) else {
        return Some(format!("{key} is a list, a table or a date, wanted {}", wanted(*kind)));
    };
    let why = match kind {
        Kind::Text | Kind::List => None,
        Kind::Number => written.parse::<u32>().err().map(|_| "not a number, wanted one such as 64".to_owned()),
        Kind::Bool => written.parse::<bool>().err().map(|_| "neither true nor false".to_owned()),
        Kind::Time => duration(&written).err().map(|why| why.to_string()),
        Kind::Size => size(&written).err().map(|why| why.to_string()),
    };
    why.map(|why| format!("{key} is {written:?}: {why}"))
}

const fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::List => "text or a list of texts",
        Kind::Number => "a number",
        Kind::Bool => "true or false",
        Kind::Time => "a time such as 90s",
        Kind::Size => "a size such as 32GiB",
    }
}
