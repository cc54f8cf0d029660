//! What a client asks to have pinned.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::{Cid, CidError, Multiaddr};

/// A pin as it was sent, checked against the limits of the specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Pin {
    /// The root of the DAG to pin.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "utoipa", schema(value_type = String))]
    pub cid: Cid,
    /// A name for look-ups, at most 255 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Peers known to have the data, at most 20 usable ones.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_texts")]
    #[cfg_attr(feature = "utoipa", schema(value_type = Vec<String>))]
    pub origins: Vec<Multiaddr>,
    /// What the client wants to find again with its pin.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
}

/// Why a body is not a pin that can be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PinError {
    /// Not JSON, a wrong type, a missing or doubled key, or a value over its limit.
    #[error("{0}")]
    Invalid(String),
    /// The CID cannot be pinned.
    #[error("cid: {0}")]
    Cid(#[from] CidError),
}

fn as_text<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(cid.as_str())
}

fn as_texts<S: Serializer>(origins: &[Multiaddr], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(origins.iter().map(Multiaddr::as_str))
}
