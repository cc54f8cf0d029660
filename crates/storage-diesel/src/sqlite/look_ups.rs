//! What requests look up by an id.

use diesel::prelude::*;
use pinrail_domain::{AccountId, PinRequest, RequestId, Standing, TokenId};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;

use super::pages::{Found, found_rows, shown};
use super::tokens::{StandingRow, standing_rows};
use super::{RunQueryDsl, SqliteStorage};
use crate::columns::id_bytes;
use crate::schema::{access_tokens, pin_requests};

impl SqliteStorage {
    /// How a token stands.
    pub(super) async fn find_standing(&self, token: TokenId) -> Result<Option<Standing>, StorageError> {
        self.look_up(move |conn| {
            Box::pin(async move {
                let row = standing_rows().filter(access_tokens::id.eq(id_bytes(token.as_uuid())));
                let row: Option<StandingRow> = row.get_result(conn).await.optional()?;
                row.map(|row| row.standing()).transpose()
            })
        })
        .await
    }

    /// One request of an account.
    pub(super) async fn find_request(
        &self,
        account: AccountId,
        id: RequestId,
        now: Timestamp,
    ) -> Result<Option<PinRequest>, StorageError> {
        self.look_up(move |conn| {
            Box::pin(async move {
                let row = found_rows().filter(pin_requests::id.eq(id_bytes(id.as_uuid())));
                let row: Option<Found> = row.get_result(conn).await.optional()?;
                row.map_or(Ok(None), |row| shown(conn, account, &row, now))
            })
        })
        .await
    }
}
