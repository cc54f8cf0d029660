//! What is stored of a token: everything but the token.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use pinrail_spec::Timestamp;

use super::hex::{self, Hex};
use crate::{AccountId, Scopes, TokenId};

/// What names a token block for revocation: its signature, 64 bytes, written in hexadecimal.
///
/// Tokens are told apart by it and never by a hash of their text, of which there may be several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RevocationId(Vec<u8>);

impl RevocationId {
    /// From the bytes of the signature.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes of the signature.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(formatter)
    }
}

impl FromStr for RevocationId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        hex::read(text).map(Self).ok_or(())
    }
}

impl Serialize for RevocationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A token as it is stored: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRecord {
    /// Its identifier, which everything narrowed from it carries too.
    pub id: TokenId,
    /// Whose it is.
    pub account: AccountId,
    /// What its owner calls it, 1 to 64 characters.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it ends, at a whole second, if it does.
    pub expires: Option<Timestamp>,
    /// When it was minted.
    pub created: Timestamp,
    /// The key that signed it.
    pub key_id: u32,
    /// The revocation id of its authority block: it covers everything narrowed from it.
    pub revocation_id: RevocationId,
    /// When it was last used, a minute late at most.
    pub last_used: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
    /// The revocation ids of blocks that holders appended and that were revoked alone, each with all that was narrowed
    /// from it.
    pub revoked_blocks: Vec<RevocationId>,
}

impl TokenRecord {
    /// The most blocks of one token that are revoked alone; beyond that the token itself is to be revoked.
    pub const MAX_REVOKED_BLOCKS: usize = 64;
}
