//! How the domain's values stand in columns, and back.

use std::borrow::Cow;
use std::str::FromStr;

use pinrail_domain::{Backend, KeyState, Role};
use pinrail_spec::{Multiaddr, RootKey, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{TxError, TxResult};

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
pub(crate) fn id(bytes: &[u8]) -> TxResult<Uuid> {
    Uuid::from_slice(bytes).map_err(|_| TxError::corrupt(format!("an id of {} bytes, wanted 16", bytes.len())))
}

/// A word of one of the domain's enumerations.
pub(crate) fn word<T: FromStr>(what: &str, text: &str) -> TxResult<T> {
    text.parse().map_err(|_| TxError::corrupt(format!("{what} {text:?}")))
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
pub(crate) fn addresses(text: &str) -> TxResult<Vec<Multiaddr>> {
    let texts: Vec<String> = json("addresses", text)?;
    Ok(texts.into_iter().map(Multiaddr::from_stored).collect())
}

/// A value that stands as JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> TxResult<T> {
    serde_json::from_str(text).map_err(|error| TxError::corrupt(format!("{what}: {error}")))
}

/// A value as JSON.
pub(crate) fn json_text<T: serde::Serialize>(value: &T) -> TxResult<String> {
    serde_json::to_string(value).map_err(|error| TxError::corrupt(error.to_string()))
}

/// The longest text that a look-up holds as it is, in bytes. PostgreSQL takes at most 2,704 in an entry of an index.
const LOOKED_UP: usize = 500;
/// What marks a look-up's text as the digest of a longer one: a character that stands for nothing.
const DIGEST: char = '\u{FFFF}';

/// A key or a value of meta as look-ups hold it: a long one by its digest. What begins with the mark is digested too,
/// so that no text reads like another's digest.
pub(crate) fn look_up_text(text: &str) -> Cow<'_, str> {
    if text.len() <= LOOKED_UP && !text.starts_with(DIGEST) {
        return Cow::Borrowed(text);
    }
    let digest = Sha256::digest(text).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    Cow::Owned(format!("{DIGEST}{digest}"))
}

/// An account's role as a column holds it.
pub(crate) const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Pinner => "pinner",
        Role::Administrator => "administrator",
    }
}

/// An account's role from its column.
pub(crate) fn role(word: &str) -> TxResult<Role> {
    [Role::Pinner, Role::Administrator]
        .into_iter()
        .find(|role| role_word(*role) == word)
        .ok_or_else(|| TxError::corrupt(format!("role {word:?}")))
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
pub(crate) fn backend(word: &str) -> TxResult<Backend> {
    [Backend::Embedded, Backend::Kubo, Backend::Cluster]
        .into_iter()
        .find(|backend| backend_word(*backend) == word)
        .ok_or_else(|| TxError::corrupt(format!("backend {word:?}")))
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
pub(crate) fn key_state(word: &str) -> TxResult<KeyState> {
    [KeyState::Active, KeyState::Retired, KeyState::Revoked]
        .into_iter()
        .find(|state| key_state_word(*state) == word)
        .ok_or_else(|| TxError::corrupt(format!("key state {word:?}")))
}

#[cfg(test)]
mod tests {
    use super::look_up_text;

    #[test]
    fn long_texts_are_looked_up_by_their_digest() {
        let short = "x".repeat(500);
        assert_eq!(look_up_text(&short), short);
        let long = look_up_text(&"x".repeat(501)).into_owned();
        assert_eq!(long.chars().count(), 65);
        assert_ne!(look_up_text(&"x".repeat(502)), long);
        assert_ne!(look_up_text(&long), long, "a text that reads like a digest is another one");
    }
}
