//! What a client asks to have pinned.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::json::{Json, JsonError};
use crate::{Cid, CidError, Multiaddr, Reason};

/// The most characters (not bytes) of a name.
pub(crate) const MAX_NAME: usize = 255;
/// The most characters of a key in meta: it is indexed.
pub(crate) const MAX_META_KEY: usize = 255;
/// The most pairs in meta.
const MAX_META_PAIRS: usize = 64;
/// The most bytes of all keys and values in meta together.
const MAX_META_BYTES: usize = 4_096;
/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// The most origins that are read: Kubo sends all its addresses, often more than the 20 of the specification.
const MAX_ORIGINS_SENT: usize = 100;
/// The most origins that are kept and echoed.
const MAX_ORIGINS_KEPT: usize = 20;

/// Pin object
//
// As it was sent, checked against the limits of the specification, whose words document the fields here and in
// the OpenAPI document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Pin {
    /// Content Identifier (CID) to be pinned recursively
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "QmCIDToBePinned"))]
    pub cid: Cid,
    /// Optional name for pinned data; can be used for lookups later
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "utoipa", schema(nullable = false, max_length = 255, example = "PreciousData.pdf"))]
    pub name: Option<String>,
    /// Optional list of multiaddrs known to provide the data
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_texts")]
    #[cfg_attr(feature = "utoipa", schema(schema_with = crate::schema::origins, required = false))]
    pub origins: Vec<Multiaddr>,
    /// Optional metadata for pin object
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "utoipa", schema(schema_with = crate::schema::meta, required = false))]
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

impl PinError {
    /// The kind of failure that the client is told.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::BadRequest,
            Self::Cid(error) => error.reason(),
        }
    }
}

impl Pin {
    /// Read the body of `POST /pins` or `POST /pins/{requestid}`.
    ///
    /// Fields that the specification does not know are ignored, and an optional field that is `null`
    /// counts as left out, and so does a byte order mark before it all. A doubled key, a wrong type or a value over its limit is an error; of the
    /// origins the first 20 usable ones are kept (see [`Multiaddr`]), those outside the public
    /// internet only with `allow_private_origins`. The CID's hash has to be one that blocks are checked with.
    pub fn parse(body: &[u8], allow_private_origins: bool) -> Result<Self, PinError> {
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let json = Json::parse(body).map_err(|error| match error {
            JsonError::Syntax(what) => format!("the body is not a JSON object: {what}"),
            doubled @ JsonError::Doubled(_) => format!("the body: {doubled}"),
        })?;
        let mut fields = json.into_object("the body")?;
        let mut take = |name| fields.remove(name).filter(|value| *value != Json::Null);

        let cid = take("cid").ok_or_else(|| "cid is missing, wanted the CID to pin".to_owned())?;
        let name = take("name").map(read_name).transpose()?;
        let origins = take("origins").map(|json| read_origins(json, allow_private_origins));
        let meta = take("meta").map(read_meta).transpose()?;
        let cid = Cid::parse(&cid.into_string("cid")?)?;
        cid.check_hash()?;
        Ok(Self { cid, name, origins: origins.transpose()?.unwrap_or_default(), meta: meta.unwrap_or_default() })
    }
}

fn read_name(json: Json) -> Result<String, String> {
    let name = json.into_string("name")?;
    check_text("name", &name, MAX_NAME)?;
    Ok(name)
}

fn read_origins(json: Json, allow_private: bool) -> Result<Vec<Multiaddr>, String> {
    let sent = json.into_array("origins")?;
    if sent.len() > MAX_ORIGINS_SENT {
        return Err(format!("origins has {} items, wanted at most {MAX_ORIGINS_SENT}", sent.len()));
    }
    let mut kept = Vec::new();
    for (index, item) in sent.into_iter().enumerate() {
        let text = item.into_string(format_args!("origins[{index}]"))?;
        let Ok(origin) = Multiaddr::parse(&text) else { continue };
        let usable = !origin.is_unspecified() && (allow_private || origin.is_public() || origin.is_peer_alone());
        if usable && kept.len() < MAX_ORIGINS_KEPT && !kept.contains(&origin) {
            kept.push(origin);
        }
    }
    Ok(kept)
}

fn read_meta(json: Json) -> Result<BTreeMap<String, String>, String> {
    let members = json.into_object("meta")?;
    if members.len() > MAX_META_PAIRS {
        return Err(format!("meta has {} pairs, wanted at most {MAX_META_PAIRS}", members.len()));
    }
    let pairs = read_pairs(members)?;
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MAX_META_BYTES {
        return Err(format!("meta has {bytes} bytes of keys and values, wanted at most {MAX_META_BYTES}"));
    }
    Ok(pairs)
}

/// The members of an object as pairs of strings that can be stored.
pub(crate) fn read_pairs(members: BTreeMap<String, Json>) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    for (key, value) in members {
        let value = value.into_string(format_args!("meta[{}]", shorten(&key)))?;
        check_pair(&key, &value)?;
        pairs.insert(key, value);
    }
    Ok(pairs)
}

/// Check that a pair of meta can be stored; the body's own limit bounds the value.
pub(crate) fn check_pair(key: &str, value: &str) -> Result<(), String> {
    check_text("a key of meta", key, MAX_META_KEY)?;
    check_text(&format!("meta[{}]", shorten(key)), value, usize::MAX)
}

/// Check that `text` has at most `most` characters and no U+0000, which PostgreSQL cannot keep.
pub(crate) fn check_text(what: &str, text: &str, most: usize) -> Result<(), String> {
    let length = text.chars().count();
    if length > most {
        return Err(format!("{what} has {length} characters, wanted at most {most}"));
    }
    if text.contains('\0') {
        return Err(format!("{what} contains U+0000, which cannot be stored"));
    }
    Ok(())
}

/// What a client sent, quoted and cut to a length that fits in a sentence.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 64;
    let mut characters = text.chars();
    let start = characters.by_ref().take(MOST).collect::<String>();
    if characters.next().is_some() { format!("{start:?}…") } else { format!("{start:?}") }
}

impl From<String> for PinError {
    fn from(message: String) -> Self {
        Self::Invalid(message)
    }
}

fn as_text<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(cid.as_str())
}

fn as_texts<S: Serializer>(origins: &[Multiaddr], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(origins.iter().map(Multiaddr::as_str))
}
