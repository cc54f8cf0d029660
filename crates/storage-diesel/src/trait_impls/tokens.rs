//! Tokens and keys: which of their steps write. Compiled for each database.

use async_trait::async_trait;
use pinrail_domain::{AccountId, KeyState, PublicKeyRecord, RevocationId, Standing, TokenId, TokenRecord};
use pinrail_spec::Timestamp;
use pinrail_storage::{AccessTokens, SigningKeys, StorageError};

use super::Store;
use super::queries::tokens;

#[async_trait]
impl AccessTokens for Store {
    async fn add_token(&self, token: &TokenRecord) -> Result<(), StorageError> {
        let (token, by) = (token.clone(), self.actor());
        self.write(None, move |conn| Box::pin(async move { tokens::add_token(conn, &token, &by).await })).await
    }

    async fn list_tokens(&self, account: &AccountId) -> Result<Vec<TokenRecord>, StorageError> {
        let account = *account;
        self.read(move |conn| Box::pin(async move { tokens::list_tokens(conn, &account).await })).await
    }

    async fn find_token(&self, id: &TokenId) -> Result<Option<TokenRecord>, StorageError> {
        let id = *id;
        self.read(move |conn| Box::pin(async move { tokens::find_token(conn, &id).await })).await
    }

    async fn revoke_token(&self, id: &TokenId, now: Timestamp) -> Result<bool, StorageError> {
        let (id, by) = (*id, self.actor());
        self.write(Some(now), move |conn| Box::pin(async move { tokens::revoke_token(conn, &id, &by, now).await }))
            .await
    }

    async fn revoke_block(&self, id: &TokenId, block: &RevocationId, now: Timestamp) -> Result<bool, StorageError> {
        let (id, block, by) = (*id, block.clone(), self.actor());
        self.write(Some(now), move |conn| {
            Box::pin(async move { tokens::revoke_block(conn, &id, &block, &by, now).await })
        })
        .await
    }

    async fn standing(&self, id: &TokenId) -> Result<Option<Standing>, StorageError> {
        self.find_standing(*id).await
    }

    async fn touch_tokens(&self, used: &[(TokenId, Timestamp)]) -> Result<(), StorageError> {
        let used = used.to_vec();
        self.write(None, move |conn| Box::pin(async move { tokens::touch_tokens(conn, &used).await })).await
    }
}

#[async_trait]
impl SigningKeys for Store {
    async fn add_key(&self, key: &PublicKeyRecord) -> Result<(), StorageError> {
        let (key, by) = (key.clone(), self.actor());
        self.write(None, move |conn| Box::pin(async move { tokens::add_key(conn, &key, &by).await })).await
    }

    async fn list_keys(&self) -> Result<Vec<PublicKeyRecord>, StorageError> {
        self.read(move |conn| Box::pin(async move { tokens::list_keys(conn).await })).await
    }

    async fn set_key_state(&self, id: u32, state: KeyState, now: Timestamp) -> Result<(), StorageError> {
        let by = self.actor();
        self.write(Some(now), move |conn| {
            Box::pin(async move { tokens::set_key_state(conn, id, state, &by, now).await })
        })
        .await
    }
}
