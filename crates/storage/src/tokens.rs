//! Access tokens and the public halves of the signing keys.

use async_trait::async_trait;
use pinrail_domain::{AccountId, KeyState, PublicKeyRecord, RevocationId, Standing, TokenId, TokenRecord};
use pinrail_spec::Timestamp;

use crate::StorageError;

/// What is kept of access tokens; never the tokens themselves.
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// Keep the record of a minted token; `Conflict` when its id is taken, `Missing` without its account.
    async fn add_token(&self, token: &TokenRecord) -> Result<(), StorageError>;

    /// The account's tokens, the newest first (by `created`, then by id), revoked ones too.
    async fn list_tokens(&self, account: &AccountId) -> Result<Vec<TokenRecord>, StorageError>;

    /// One token of any account.
    async fn find_token(&self, id: &TokenId) -> Result<Option<TokenRecord>, StorageError>;

    /// Revoke a token and everything narrowed from it; whether this did it, so `false` for one that is unknown or
    /// was revoked before (it keeps its first date).
    async fn revoke_token(&self, id: &TokenId, now: Timestamp) -> Result<bool, StorageError>;

    /// Revoke a block that a holder appended to the token, and everything narrowed from there on: its last block, to revoke
    /// a narrowed token alone. Whether this did it, so `false` when it was revoked before; `Missing` without the token.
    ///
    /// The caller bounds how many there are (`TokenRecord::MAX_REVOKED_BLOCKS`): each request reads all of them.
    async fn revoke_block(&self, id: &TokenId, block: &RevocationId, now: Timestamp) -> Result<bool, StorageError>;

    /// What every request asks: does the token exist, what was it minted as, is it or its key revoked, and
    /// how does its account stand?
    ///
    /// `None` when there is no such token. Never older than the last committed change.
    async fn standing(&self, id: &TokenId) -> Result<Option<Standing>, StorageError>;

    /// Note that these tokens were used, the latest time counts; unknown ones are passed over. The caller gathers a
    /// minute's worth.
    async fn touch_tokens(&self, used: &[(TokenId, Timestamp)]) -> Result<(), StorageError>;
}

/// The key ring as every process reads it: private keys are files, public ones are rows.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// Add a public key, `Conflict` when its id is taken; if it is active, the one that was active is retired in the
    /// same step.
    async fn add_key(&self, key: &PublicKeyRecord) -> Result<(), StorageError>;

    /// All keys, the newest first (by `created`, then by id).
    async fn list_keys(&self) -> Result<Vec<PublicKeyRecord>, StorageError>;

    /// Change what a key may be used for; `Missing` when there is no such key. Making one active retires the one
    /// that was.
    async fn set_key_state(&self, id: u32, state: KeyState, now: Timestamp) -> Result<(), StorageError>;
}
