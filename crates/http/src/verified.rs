//! Tokens that were verified, and the ring of public keys that they are verified with.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use pinrail_domain::{KeyRing, PublicKeyRecord, Refusal, ServiceId, TokenError, VerifiedToken, verify};
use pinrail_spec::Timestamp;
use pinrail_storage::{SigningKeys, StorageError};
use tokio::sync::RwLock;

use crate::request_log::timed;

/// The most text of tokens that is kept, in bytes: some 2,500 tokens of the usual size.
const CACHE_BYTES: u64 = 1 << 20;
/// A token that was not used for so long is verified again.
const CACHE_IDLE: Duration = Duration::from_mins(10);
/// How old the ring of keys may be; a revoked key counts at once, through the standing of its tokens, which name it.
const RING_AGE: Duration = Duration::from_secs(30);
/// How often in a second tokens of unknown keys make the ring be read again: a key that was just made is known at once,
/// and made-up keys cost little.
const UNKNOWN_KEYS: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Verifies tokens, each text once for as long as the keys stay the same.
///
/// **Invariant:** only signatures and form are remembered. Whether a token is revoked, has expired, or its account may
/// do something, is asked for every request.
pub(crate) struct VerifiedTokens {
    service: ServiceId,
    verified: Cache<String, VerifiedToken>,
    keys: RwLock<Option<Keys>>,
}

struct Keys {
    records: Vec<PublicKeyRecord>,
    ring: Arc<KeyRing>,
    read: Timestamp,
    /// Since when tokens of unknown keys are counted, and how many made the ring be read.
    unknown: (Timestamp, u32),
}

/// Why a token was not verified.
pub(crate) enum VerifyError {
    /// It is not good: 401.
    Refused(Refusal),
    /// The keys could not be read.
    Storage(StorageError),
}

impl From<StorageError> for VerifyError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl VerifiedTokens {
    pub(crate) fn new(service: ServiceId) -> Self {
        let verified = Cache::builder()
            .weigher(|text: &String, _| u32::try_from(text.len()).unwrap_or(u32::MAX))
            .max_capacity(CACHE_BYTES)
            .time_to_idle(CACHE_IDLE)
            .build();
        Self { service, verified, keys: RwLock::new(None) }
    }

    /// The token with this text, if it was verified with the keys as they are.
    pub(crate) async fn known(
        &self,
        text: &str,
        storage: &dyn SigningKeys,
        now: Timestamp,
    ) -> Result<Option<VerifiedToken>, StorageError> {
        self.ring(storage, now, RING_AGE).await?;
        Ok(self.verified.get(text))
    }

    /// Verify `text`, with the keys read again when they are old, or when its key is not among them.
    pub(crate) async fn verify(
        &self,
        text: &str,
        storage: &dyn SigningKeys,
        now: Timestamp,
    ) -> Result<VerifiedToken, VerifyError> {
        let ring = self.ring(storage, now, RING_AGE).await?;
        if let Some(token) = self.verified.get(text) {
            return Ok(token);
        }
        let token = match verify(text, &ring, self.service) {
            Err(TokenError::UnknownKey) => {
                let ring = self.ring_for_unknown(storage, now).await?;
                verify(text, &ring, self.service)
            }
            other => other,
        };
        let token = token.map_err(|error| VerifyError::Refused(error.into()))?;
        self.verified.insert(text.to_owned(), token.clone());
        Ok(token)
    }

    /// The ring of keys as it was at most `age` ago.
    async fn ring(
        &self,
        storage: &dyn SigningKeys,
        now: Timestamp,
        age: Duration,
    ) -> Result<Arc<KeyRing>, StorageError> {
        let fresh = |keys: &&Keys| now.since(keys.read) < age;
        if let Some(keys) = self.keys.read().await.as_ref().filter(fresh) {
            return Ok(Arc::clone(&keys.ring));
        }
        let mut keys = self.keys.write().await;
        if let Some(keys) = keys.as_ref().filter(fresh) {
            return Ok(Arc::clone(&keys.ring));
        }
        self.read_ring(&mut keys, storage, now).await
    }

    /// The ring as it is, or as it was once too many unknown keys were asked for.
    async fn ring_for_unknown(&self, storage: &dyn SigningKeys, now: Timestamp) -> Result<Arc<KeyRing>, StorageError> {
        let mut keys = self.keys.write().await;
        let (since, count) = keys.as_ref().map_or((now, 0), |keys| keys.unknown);
        let unknown = if now.since(since) < SECOND && now >= since { (since, count + 1) } else { (now, 1) };
        if let Some(keys) = keys.as_ref().filter(|_| unknown.1 > UNKNOWN_KEYS) {
            return Ok(Arc::clone(&keys.ring));
        }
        let ring = self.read_ring(&mut keys, storage, now).await?;
        if let Some(keys) = keys.as_mut() {
            keys.unknown = unknown;
        }
        Ok(ring)
    }

    async fn read_ring(
        &self,
        keys: &mut Option<Keys>,
        storage: &dyn SigningKeys,
        now: Timestamp,
    ) -> Result<Arc<KeyRing>, StorageError> {
        let records = timed("list_keys", storage.list_keys()).await?;
        let before = keys.take();
        let unknown = before.as_ref().map_or((now, 0), |keys| keys.unknown);
        let ring = if let Some(keys) = before.filter(|keys| keys.records == records) {
            keys.ring
        } else {
            self.verified.invalidate_all();
            let ring = KeyRing::new(&records);
            Arc::new(ring.map_err(|error| StorageError::Corrupt(format!("a public key: {error}")))?)
        };
        *keys = Some(Keys { records, ring: Arc::clone(&ring), read: now, unknown });
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use pinrail_domain::{AccountId, KeyState, MintRequest, Scopes, SigningKey, TokenId, mint};

    use super::*;

    /// The one key that signs.
    struct OneKey(PublicKeyRecord);

    #[async_trait]
    impl SigningKeys for OneKey {
        async fn add_key(&self, _: &PublicKeyRecord) -> Result<(), StorageError> {
            Ok(())
        }

        async fn list_keys(&self) -> Result<Vec<PublicKeyRecord>, StorageError> {
            Ok(vec![self.0.clone()])
        }

        async fn set_key_state(&self, _: u32, _: KeyState, _: Timestamp) -> Result<(), StorageError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn no_more_text_of_tokens_is_kept_than_there_is_room_for() {
        let now = Timestamp::from_millis(0);
        let (service, account) = (ServiceId::new(now, [1; 10]), AccountId::new(now, [2; 10]));
        let (token, scopes, key) = (TokenId::new(now, [3; 10]), Scopes::pins(), SigningKey::new(1, [4; 32]));
        let request = MintRequest { service, account, token, name: "x".into(), scopes, expires: None, created: now };
        let text = mint(&request, &key, [5; 32]).unwrap().text;
        let (tokens, keys) = (VerifiedTokens::new(service), OneKey(key.public(now)));
        let verified = tokens.verify(&text, &keys, now).await.ok().unwrap();
        assert!(tokens.known(&text, &keys, now).await.unwrap().is_some());
        for number in 0..3 * CACHE_BYTES / 4_096 {
            tokens.verified.insert(format!("{number:04096}"), verified.clone());
        }
        tokens.verified.run_pending_tasks();
        let kept = tokens.verified.weighted_size();
        assert!(kept > CACHE_BYTES / 2 && kept <= CACHE_BYTES, "{kept} bytes");
    }
}
