//! An access token's row in the domain's words.

use pinrail_domain::{AccountId, RevocationId, TokenId, TokenRecord};

use super::TokenRow;
use crate::convert::{id, moment, word};
use crate::error::{TxError, TxResult};

impl TokenRow {
    /// The record of a token of the account with this id.
    pub(crate) fn record(self, account: &[u8]) -> TxResult<TokenRecord> {
        Ok(TokenRecord {
            id: TokenId::from_uuid(id(&self.id)?),
            account: AccountId::from_uuid(id(account)?),
            name: self.name,
            scopes: word("scopes", &self.scopes)?,
            expires: self.expires.map(moment),
            created: moment(self.created),
            key_id: key_number(self.key_id)?,
            revocation_id: RevocationId::from_bytes(self.revocation_id),
            last_used: self.last_used.map(moment),
            revoked: self.revoked.map(moment),
            revoked_blocks: revocation_ids(self.revoked_blocks.as_deref())?,
        })
    }
}

/// The revocation ids in a text of them, with commas in between.
fn revocation_ids(text: Option<&str>) -> TxResult<Vec<RevocationId>> {
    let ids = text.into_iter().flat_map(|text| text.split(','));
    ids.map(|id| id.parse().map_err(|()| TxError::corrupt(format!("a revoked block {id:?}")))).collect()
}

pub(crate) fn key_number(column: i64) -> TxResult<u32> {
    u32::try_from(column).map_err(|_| TxError::corrupt(format!("key id {column}")))
}
