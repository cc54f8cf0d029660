//! Access tokens and the key ring in memory.

use std::cmp::Reverse;

use async_trait::async_trait;
use pinrail_domain::{AccountId, KeyState, PublicKeyRecord, RevocationId, Standing, TokenId, TokenRecord};
use pinrail_spec::Timestamp;
use pinrail_storage::{AccessTokens, SigningKeys, StorageError};

use super::MemoryStorage;
use super::accounts::missing_account;
use super::tables::Tables;

#[async_trait]
impl AccessTokens for MemoryStorage {
    async fn add_token(&self, token: &TokenRecord) -> Result<(), StorageError> {
        self.step(|tables| {
            if !tables.accounts.contains_key(&token.account) {
                return Err(missing_account(&token.account));
            }
            if tables.tokens.contains_key(&token.id) {
                return Err(StorageError::Conflict(format!("token {}", token.id)));
            }
            tables.tokens.insert(token.id, token.clone());
            tables.note("token mint", &token.id, Some(token.account), token.created);
            Ok(())
        })
    }

    async fn list_tokens(&self, account: &AccountId) -> Result<Vec<TokenRecord>, StorageError> {
        Ok(self.step(|tables| {
            let own = tables.tokens.values().filter(|token| token.account == *account);
            let mut own = own.cloned().collect::<Vec<_>>();
            own.sort_by_key(|token| Reverse((token.created, token.id)));
            own
        }))
    }

    async fn find_token(&self, id: &TokenId) -> Result<Option<TokenRecord>, StorageError> {
        Ok(self.step(|tables| tables.tokens.get(id).cloned()))
    }

    async fn revoke_token(&self, id: &TokenId, now: Timestamp) -> Result<bool, StorageError> {
        Ok(self.step_at(now, |tables| match tables.tokens.get_mut(id) {
            Some(token) if token.revoked.is_none() => {
                token.revoked = Some(now);
                let account = token.account;
                tables.note("token revoke", &id, Some(account), now);
                true
            }
            _ => false,
        }))
    }

    async fn revoke_block(&self, id: &TokenId, block: &RevocationId, now: Timestamp) -> Result<bool, StorageError> {
        self.step_at(now, |tables| {
            let missing = || StorageError::Missing(format!("token {id}"));
            let token = tables.tokens.get_mut(id).ok_or_else(missing)?;
            let is_new = !token.revoked_blocks.contains(block);
            if is_new {
                token.revoked_blocks.push(block.clone());
                let account = token.account;
                tables.note("token revoke-narrowed", &id, Some(account), now);
            }
            Ok(is_new)
        })
    }

    async fn standing(&self, id: &TokenId) -> Result<Option<Standing>, StorageError> {
        Ok(self.step(|tables| {
            let token = tables.tokens.get(id)?;
            let account = &tables.accounts.get(&token.account)?.account;
            let key_revoked = tables.keys.get(&token.key_id).is_some_and(|key| key.state == KeyState::Revoked);
            Some(Standing {
                account: account.id,
                role: account.role,
                blocked: account.blocked.clone(),
                access: account.access.clone(),
                access_withdrawn: account.access_withdrawn,
                token: token.clone(),
                key_revoked,
            })
        }))
    }

    async fn touch_tokens(&self, used: &[(TokenId, Timestamp)]) -> Result<(), StorageError> {
        self.step(|tables| {
            for (id, at) in used {
                if let Some(token) = tables.tokens.get_mut(id) {
                    token.last_used = token.last_used.max(Some(*at));
                }
            }
        });
        Ok(())
    }
}

#[async_trait]
impl SigningKeys for MemoryStorage {
    async fn add_key(&self, key: &PublicKeyRecord) -> Result<(), StorageError> {
        self.step(|tables| {
            if tables.keys.contains_key(&key.id) {
                return Err(StorageError::Conflict(format!("key {}", key.id)));
            }
            tables.keys.insert(key.id, key.clone());
            tables.note("key add", &key.id, None, key.created);
            tables.set_key_state(key.id, key.state)
        })
    }

    async fn list_keys(&self) -> Result<Vec<PublicKeyRecord>, StorageError> {
        Ok(self.step(|tables| {
            let mut keys = tables.keys.values().cloned().collect::<Vec<_>>();
            keys.sort_by_key(|key| Reverse((key.created, key.id)));
            keys
        }))
    }

    async fn set_key_state(&self, id: u32, state: KeyState, now: Timestamp) -> Result<(), StorageError> {
        self.step(|tables| {
            tables.set_key_state(id, state)?;
            let action = match state {
                KeyState::Active => "key activate",
                KeyState::Retired => "key retire",
                KeyState::Revoked => "key revoke",
            };
            tables.note(action, &id, None, now);
            Ok(())
        })
    }
}

impl Tables {
    fn set_key_state(&mut self, id: u32, state: KeyState) -> Result<(), StorageError> {
        if !self.keys.contains_key(&id) {
            return Err(StorageError::Missing(format!("key {id}")));
        }
        for key in self.keys.values_mut() {
            match (key.id == id, key.state, state) {
                (true, _, _) => key.state = state,
                (false, KeyState::Active, KeyState::Active) => key.state = KeyState::Retired,
                (false, _, _) => {}
            }
        }
        Ok(())
    }
}
