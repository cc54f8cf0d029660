//! How the domain's values stand in columns, and back.

use std::str::FromStr;

use pinrail_domain::{Backend, KeyState, Role};
use pinrail_spec::{Multiaddr, RootKey, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Failed, Step};

/// A count as a column holds it; what is beyond 63 bits stands as the greatest.
pub(crate) fn to_column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count from its column; a negative one, which a counter never shows, reads as zero.
pub(crate) fn from_column(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// A moment from its column.
pub(crate) fn moment(column: i64) -> Timestamp {
    Timestamp::from_millis(column)
}

/// The 16 bytes of an id.
pub(crate) fn id_bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// An id from its 16 bytes.
pub(crate) fn id(bytes: &[u8]) -> Step<Uuid> {
    Uuid::from_slice(bytes).map_err(|_| Failed::corrupt(format!("an id of {} bytes, wanted 16", bytes.len())))
}

/// A word of one of the domain's enumerations.
pub(crate) fn word<T: FromStr>(what: &str, text: &str) -> Step<T> {
    text.parse().map_err(|_| Failed::corrupt(format!("{what} {text:?}")))
}

/// What names a root, from its two columns.
pub(crate) fn root_key(codec: i64, multihash: &[u8]) -> RootKey {
    RootKey { codec: from_column(codec), multihash: multihash.to_vec() }
}

/// Addresses as a JSON array.
pub(crate) fn addresses_text(addresses: &[Multiaddr]) -> String {
    addresses.iter().map(Multiaddr::as_str).collect::<Value>().to_string()
}

/// Addresses from a JSON array; they were read once when they came.
pub(crate) fn addresses(text: &str) -> Step<Vec<Multiaddr>> {
    let texts: Vec<String> = json("addresses", text)?;
    Ok(texts.into_iter().map(Multiaddr::from_stored).collect())
}

/// A value that stands as JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Step<T> {
    serde_json::from_str(text).map_err(|error| Failed::corrupt(format!("{what}: {error}")))
}

/// A value as JSON.
pub(crate) fn json_text<T: serde::Serialize>(value: &T) -> Step<String> {
    serde_json::to_string(value).map_err(|error| Failed::corrupt(error.to_string()))
}

/// An account's role as a column holds it.
pub(crate) const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Pinner => "pinner",
        Role::Administrator => "administrator",
    }
}

/// An account's role from its column.
pub(crate) fn role(word: &str) -> Step<Role> {
    [Role::Pinner, Role::Administrator]
        .into_iter()
        .find(|role| role_word(*role) == word)
        .ok_or_else(|| Failed::corrupt(format!("role {word:?}")))
}

/// A node's kind as a column holds it.
pub(crate) const fn backend_word(backend: Backend) -> &'static str {
    match backend {
        Backend::Embedded => "embedded",
        Backend::Kubo => "kubo",
        Backend::Cluster => "cluster",
    }
}

/// A node's kind from its column.
pub(crate) fn backend(word: &str) -> Step<Backend> {
    [Backend::Embedded, Backend::Kubo, Backend::Cluster]
        .into_iter()
        .find(|backend| backend_word(*backend) == word)
        .ok_or_else(|| Failed::corrupt(format!("backend {word:?}")))
}

/// A key's state as a column holds it.
pub(crate) const fn key_state_word(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Retired => "retired",
        KeyState::Revoked => "revoked",
    }
}

/// A key's state from its column.
pub(crate) fn key_state(word: &str) -> Step<KeyState> {
    [KeyState::Active, KeyState::Retired, KeyState::Revoked]
        .into_iter()
        .find(|state| key_state_word(*state) == word)
        .ok_or_else(|| Failed::corrupt(format!("key state {word:?}")))
}
