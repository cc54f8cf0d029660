//! The section of the settings file that pinrail-worker reads, as far as `check` can judge it without that program: which
//! settings there are and what they are written like.

use std::ops::RangeInclusive;

use anyhow::{Error, Result, anyhow, ensure};
use pinrail_domain::settings::{ROOT_BLOCKS, SLOTS, check_announce, check_listen, check_socket};
use pinrail_http::Network;
use toml::Value;

use super::commands::{duration, size};
use super::file::text;

/// What a setting is written like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Socket,
    Listen,
    Announce,
    Network,
    Slots,
    Blocks,
    Bool,
    Time,
    Size,
}

/// Every setting of the section. A test holds them against docs/operating.md, and so does one of the worker's.
pub const SETTINGS: [(&str, Kind); 19] = [
    ("health", Kind::Socket),
    ("metrics", Kind::Socket),
    ("listen", Kind::Listen),
    ("announce", Kind::Announce),
    ("allow-private", Kind::Bool),
    ("never-dial", Kind::Network),
    ("slots", Kind::Slots),
    ("lease", Kind::Time),
    ("first-retry", Kind::Time),
    ("max-retry", Kind::Time),
    ("time-limit", Kind::Time),
    ("rotation", Kind::Time),
    ("stall", Kind::Time),
    ("pause", Kind::Time),
    ("max-root-size", Kind::Size),
    ("max-root-blocks", Kind::Blocks),
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
    let values = match value {
        Value::Array(values) if kind.is_list() => values.iter().map(text).collect::<Option<Vec<_>>>(),
        value => text(value).map(|text| vec![text]),
    };
    let Some(values) = values else {
        return Some(format!("{key} is a list, a table or a date, wanted {}", kind.wanted()));
    };
    values.iter().find_map(|value| kind.judge(value).err().map(|why| format!("{key} is {value:?}: {why}")))
}

impl Kind {
    const fn is_list(self) -> bool {
        matches!(self, Self::Listen | Self::Announce | Self::Network)
    }

    /// What is wrong with a value, in the worker's own words.
    fn judge(self, value: &str) -> Result<()> {
        let checked = match self {
            Self::Socket => check_socket(value).map(drop),
            Self::Listen => check_listen(value),
            Self::Announce => check_announce(value),
            Self::Bool => value.parse::<bool>().map(drop).map_err(|_| "neither true nor false"),
            Self::Network => return value.parse::<Network>().map(drop).map_err(Error::msg),
            Self::Slots => return check_number(value, 64, &SLOTS),
            Self::Blocks => return check_number(value, 100_000, &ROOT_BLOCKS),
            Self::Time => return duration(value).map(drop),
            Self::Size => return size(value).map(drop),
        };
        checked.map_err(Error::msg)
    }

    const fn wanted(self) -> &'static str {
        match self {
            Self::Socket => "an address such as 127.0.0.1:7401",
            Self::Listen | Self::Announce | Self::Network => "text or a list of texts",
            Self::Slots | Self::Blocks => "a number",
            Self::Bool => "true or false",
            Self::Time => "a time such as 90s",
            Self::Size => "a size such as 32GiB",
        }
    }
}

fn check_number(value: &str, example: i64, range: &RangeInclusive<i64>) -> Result<()> {
    let number = value.parse::<i64>().map_err(|_| anyhow!("not a number, wanted one such as {example}"))?;
    ensure!(range.contains(&number), "{number} is not in {range:?}");
    Ok(())
}
