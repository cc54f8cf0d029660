//! The keys that sign tokens: private ones are files, public ones are rows that every process reads.

use std::collections::HashMap;
use std::fmt;

use biscuit_auth::builder::Algorithm;
use biscuit_auth::{KeyPair, PrivateKey, PublicKey};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use pinrail_spec::Timestamp;

use super::TokenError;
use super::hex::Hex;

/// Why bytes or a text are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not a private key as [`SigningKey::to_text`] writes it.
    #[error("not a signing key, wanted ed25519-private/ and 64 hexadecimal digits")]
    Private,
    /// Not a public key.
    #[error("not an Ed25519 public key, wanted 32 bytes")]
    Public,
}

/// A private Ed25519 key with its id, kept in a file that only the service can read.
pub struct SigningKey {
    id: u32,
    pair: KeyPair,
}

impl SigningKey {
    /// A new key from 32 bytes of the system's randomness.
    pub fn new(id: u32, random: [u8; 32]) -> Self {
        let pair = KeyPair::from_bytes(&random, Algorithm::Ed25519.into()).expect("any 32 bytes are an Ed25519 key");
        Self { id, pair }
    }

    /// Read what [`Self::to_text`] wrote.
    pub fn parse(id: u32, text: &str) -> Result<Self, KeyError> {
        let private = text.trim().parse::<PrivateKey>().map_err(|_| KeyError::Private)?;
        match private {
            PrivateKey::Ed25519(_) => Ok(Self { id, pair: KeyPair::from(&private) }),
            PrivateKey::P256(_) => Err(KeyError::Private),
        }
    }

    /// Its secret text, `ed25519-private/` and 64 hexadecimal digits, as Biscuit's own tools write it.
    pub fn to_text(&self) -> String {
        self.pair.private().to_prefixed_string()
    }

    /// Its id, which each token names that it signs.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The public half, to be stored where every process reads it.
    pub fn public(&self, created: Timestamp) -> PublicKeyRecord {
        PublicKeyRecord { id: self.id, public_key: self.pair.public().to_bytes(), state: KeyState::Active, created }
    }

    pub(super) const fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a key may still be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Signs new tokens and verifies.
    Active,
    /// Signs no more, and verifies what it signed.
    Retired,
    /// Nothing that it signed is accepted any more.
    Revoked,
}

/// A public key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicKeyRecord {
    /// Its id, which each token names that it signed.
    pub id: u32,
    /// The Ed25519 public key, 32 bytes; written as `ed25519/` and 64 hexadecimal digits, as Biscuit's own tools do.
    #[serde(serialize_with = "as_text")]
    pub public_key: Vec<u8>,
    /// What it may still be used for.
    pub state: KeyState,
    /// When it was made.
    pub created: Timestamp,
}

fn as_text<S: Serializer>(public_key: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("ed25519/{}", Hex(public_key)))
}

/// The public keys that tokens are verified with.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: HashMap<u32, (PublicKey, KeyState)>,
}

impl KeyRing {
    /// A ring of these keys; one that is no key at all is an error, since its tokens would fail without a reason.
    pub fn new<'a>(records: impl IntoIterator<Item = &'a PublicKeyRecord>) -> Result<Self, KeyError> {
        let read = |record: &PublicKeyRecord| {
            let key = PublicKey::from_bytes(&record.public_key, Algorithm::Ed25519).map_err(|_| KeyError::Public)?;
            Ok((record.id, (key, record.state)))
        };
        Ok(Self { keys: records.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// The key with this id, unless it was revoked.
    pub(super) fn find(&self, id: Option<u32>) -> Result<(u32, PublicKey), TokenError> {
        let id = id.ok_or(TokenError::UnknownKey)?;
        match self.keys.get(&id) {
            None => Err(TokenError::UnknownKey),
            Some((_, KeyState::Revoked)) => Err(TokenError::RevokedKey),
            Some((key, KeyState::Active | KeyState::Retired)) => Ok((id, *key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use pinrail_spec::Timestamp;

    use super::{KeyError, KeyRing, SigningKey};

    #[test]
    fn a_private_key_is_kept_as_text_and_never_printed() {
        let key = SigningKey::new(3, [7; 32]);
        let text = key.to_text();
        assert_eq!(text, format!("ed25519-private/{}", "07".repeat(32)));
        let again = SigningKey::parse(3, &format!("{text}\n")).unwrap();
        let created = Timestamp::from_millis(0);
        assert_eq!(again.public(created), key.public(created));
        assert_eq!(format!("{key:?}"), "SigningKey { id: 3, .. }");
        let json = serde_json::to_value(key.public(created)).unwrap();
        assert_eq!(json["public_key"].as_str().unwrap().len(), "ed25519/".len() + 64);
        assert_eq!(json["state"], "active");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "07", "ed25519-private/07", "secp256r1-private/07", "ed25519/07"] {
            assert_eq!(SigningKey::parse(1, text).unwrap_err(), KeyError::Private, "{text}");
        }
        let mut record = SigningKey::new(3, [7; 32]).public(Timestamp::from_millis(0));
        record.public_key.pop();
        assert_eq!(KeyRing::new([&record]).unwrap_err(), KeyError::Public);
    }
}
