//! The filters of `GET /pins`.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{RootKey, Status, Timestamp};

/// How a name is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
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
    /// One of these; never empty (see `PinFilter::parse` for what an absent filter means).
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
