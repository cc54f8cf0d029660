//! What requests look up by an id.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool};
use pinrail_domain::{AccountId, PinRequest, RequestId, Standing, TokenId};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;

use super::queries::pin_lists::{FoundRequest, found_rows, shown};
use super::queries::tokens::{StandingRow, standing_rows};
use super::{RunQueryDsl, SqliteStorage};
use crate::convert::id_bytes;
use crate::schema::{access_tokens, pin_requests};

/// What stands before the id of an account in the condition on its requests. The index by id has the account too, so a
/// request of another account is to SQLite one that is not there: neither the answer nor its time tells them apart.
const OWN: &str = "pin_requests.account = (SELECT own.key FROM accounts AS own WHERE own.id = ";

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
                let own = sql::<Bool>(OWN).bind::<Binary, _>(id_bytes(account.as_uuid())).sql(")");
                let row = found_rows().filter(pin_requests::id.eq(id_bytes(id.as_uuid()))).filter(own);
                let row: Option<FoundRequest> = row.get_result(conn).await.optional()?;
                row.map(|row| shown(conn, &row, now)).transpose()
            })
        })
        .await
    }
}
