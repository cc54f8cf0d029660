//! Access tokens and the public halves of the signing keys.

use diesel::dsl::{AsSelect, sql};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use pinrail_domain::{AccountId, KeyState, PublicKeyRecord, RevocationId, Standing, TokenId, TokenRecord};
use pinrail_spec::Timestamp;
use pinrail_storage::StorageError;
use serde_json::{Value, json};

use super::accounts::account_key;
use super::audit::{Deed, note};
use super::{Conn, Db, RunQueryDsl};
use crate::convert::{id, id_bytes, key_state, key_state_word, moment, role};
use crate::error::{TxError, TxResult};
use crate::rows::{TokenRow, access, key_number};
use crate::schema::{access_tokens, accounts, signing_keys};

/// Keep the record of a minted token.
pub(crate) async fn add_token(conn: &mut Conn, token: &TokenRecord, by: &str) -> TxResult<()> {
    let Some(account) = account_key(conn, &token.account).await? else {
        return Err(StorageError::Missing(format!("the account {}", token.account)).into());
    };
    diesel::insert_into(access_tokens::table)
        .values((
            access_tokens::id.eq(id_bytes(token.id.as_uuid())),
            access_tokens::account.eq(account),
            access_tokens::name.eq(&token.name),
            access_tokens::scopes.eq(token.scopes.to_string()),
            access_tokens::expires.eq(token.expires.map(Timestamp::as_millis)),
            access_tokens::created.eq(token.created.as_millis()),
            access_tokens::key_id.eq(i64::from(token.key_id)),
            access_tokens::revocation_id.eq(token.revocation_id.as_bytes()),
            access_tokens::last_used.eq(token.last_used.map(Timestamp::as_millis)),
            access_tokens::revoked.eq(token.revoked.map(Timestamp::as_millis)),
        ))
        .execute(conn)
        .await
        .map_err(|error| TxError::or_conflict(error, format!("the token {}", token.id)))?;
    let details = json!({
        "name": token.name, "scopes": token.scopes, "expires": token.expires, "key": token.key_id,
    });
    let subject = token.id.to_string();
    note(conn, Deed { by, action: "token mint", subject, account: Some(account), details }, token.created).await
}

/// The account's tokens, the newest first.
pub(crate) async fn list_tokens(conn: &mut Conn, account: &AccountId) -> TxResult<Vec<TokenRecord>> {
    let account = id_bytes(account.as_uuid());
    let rows: Vec<TokenRow> = access_tokens::table
        .inner_join(accounts::table)
        .filter(accounts::id.eq(&account))
        .order((access_tokens::created.desc(), access_tokens::id.desc()))
        .select(TokenRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(|row| row.record(&account)).collect()
}

/// One token of any account.
pub(crate) async fn find_token(conn: &mut Conn, id: &TokenId) -> TxResult<Option<TokenRecord>> {
    let found: Option<(TokenRow, Vec<u8>)> = access_tokens::table
        .inner_join(accounts::table)
        .filter(access_tokens::id.eq(id_bytes(id.as_uuid())))
        .select((TokenRow::as_select(), accounts::id))
        .get_result(conn)
        .await
        .optional()?;
    found.map(|(row, account)| row.record(&account)).transpose()
}

/// Revoke a token; whether this did it.
pub(crate) async fn revoke_token(conn: &mut Conn, id: &TokenId, by: &str, now: Timestamp) -> TxResult<bool> {
    let valid = access_tokens::table.find(id_bytes(id.as_uuid())).filter(access_tokens::revoked.is_null());
    if diesel::update(valid).set(access_tokens::revoked.eq(now.as_millis())).execute(conn).await? == 0 {
        return Ok(false);
    }
    note_revoked(conn, id, "token revoke", json!({}), by, now).await?;
    Ok(true)
}

async fn note_revoked(
    conn: &mut Conn,
    id: &TokenId,
    action: &'static str,
    details: Value,
    by: &str,
    now: Timestamp,
) -> TxResult<()> {
    let account = access_tokens::table.find(id_bytes(id.as_uuid())).select(access_tokens::account);
    let account = Some(account.get_result(conn).await?);
    note(conn, Deed { by, action, subject: id.to_string(), account, details }, now).await
}

/// Revoke a block of a token; whether this did it.
pub(crate) async fn revoke_block(
    conn: &mut Conn,
    id: &TokenId,
    block: &RevocationId,
    by: &str,
    now: Timestamp,
) -> TxResult<bool> {
    let token = access_tokens::table.find(id_bytes(id.as_uuid()));
    let known = access_tokens::revoked_blocks.like(format!("%{block}%"));
    let is_new = access_tokens::revoked_blocks.is_null().or(diesel::dsl::not(known));
    let more = sql::<Nullable<Text>>("coalesce(revoked_blocks || ',', '') || ").bind::<Text, _>(block.to_string());
    let revoked = diesel::update(token.clone().filter(is_new)).set(access_tokens::revoked_blocks.eq(more));
    if revoked.execute(conn).await? == 1 {
        note_revoked(conn, id, "token revoke-narrowed", json!({ "block": block }), by, now).await?;
        return Ok(true);
    }
    let is_there: bool = diesel::select(diesel::dsl::exists(token)).get_result(conn).await?;
    if is_there { Ok(false) } else { Err(StorageError::Missing(format!("the token {id}")).into()) }
}

/// A token with what it and its account stand by.
#[derive(Queryable)]
pub(crate) struct StandingRow {
    pub(crate) token: TokenRow,
    account: Vec<u8>,
    role: String,
    blocked: Option<String>,
    access: (Option<i64>, Option<String>, Option<i64>, Option<i64>),
    key: Option<String>,
}

impl StandingRow {
    pub(crate) fn standing(&self) -> TxResult<Standing> {
        let (since, by, until, withdrawn) = self.access.clone();
        Ok(Standing {
            account: AccountId::from_uuid(id(&self.account)?),
            role: role(&self.role)?,
            blocked: self.blocked.clone(),
            access: access(since, by, until),
            access_withdrawn: withdrawn.map(moment),
            token: self.token.clone().record(&self.account)?,
            key_revoked: self.key.as_deref() == Some(key_state_word(KeyState::Revoked)),
        })
    }
}

/// How all tokens stand.
#[diesel::dsl::auto_type]
pub(crate) fn standing_rows() -> _ {
    let token: AsSelect<TokenRow, Db> = TokenRow::as_select();
    access_tokens::table
        .inner_join(accounts::table)
        .left_join(signing_keys::table.on(signing_keys::id.eq(access_tokens::key_id)))
        .select((
            token,
            accounts::id,
            accounts::role,
            accounts::blocked,
            (accounts::access_since, accounts::access_by, accounts::access_until, accounts::access_withdrawn),
            signing_keys::state.nullable(),
        ))
}

/// Note that tokens were used.
pub(crate) async fn touch_tokens(conn: &mut Conn, used: &[(TokenId, Timestamp)]) -> TxResult<()> {
    for (token, at) in used {
        let at = at.as_millis();
        let older = access_tokens::last_used.is_null().or(access_tokens::last_used.lt(at));
        diesel::update(access_tokens::table.find(id_bytes(token.as_uuid())).filter(older))
            .set(access_tokens::last_used.eq(at))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Add a public key; if it is active, the one that was is retired.
pub(crate) async fn add_key(conn: &mut Conn, key: &PublicKeyRecord, by: &str) -> TxResult<()> {
    if key.state == KeyState::Active {
        retire_active(conn).await?;
    }
    diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::id.eq(i64::from(key.id)),
            signing_keys::public_key.eq(&key.public_key),
            signing_keys::state.eq(key_state_word(key.state)),
            signing_keys::created.eq(key.created.as_millis()),
        ))
        .execute(conn)
        .await
        .map_err(|error| TxError::or_conflict(error, format!("the key {}", key.id)))?;
    note(conn, key_deed(by, "key add", key.id, key.state), key.created).await
}

/// Something that was done to a key.
fn key_deed<'a>(by: &'a str, action: &'static str, id: u32, state: KeyState) -> Deed<'a> {
    Deed { by, action, subject: id.to_string(), account: None, details: json!({ "state": state }) }
}

async fn retire_active(conn: &mut Conn) -> TxResult<()> {
    let active = signing_keys::table.filter(signing_keys::state.eq(key_state_word(KeyState::Active)));
    diesel::update(active).set(signing_keys::state.eq(key_state_word(KeyState::Retired))).execute(conn).await?;
    Ok(())
}

/// All keys, the newest first.
pub(crate) async fn list_keys(conn: &mut Conn) -> TxResult<Vec<PublicKeyRecord>> {
    let rows: Vec<(i64, Vec<u8>, String, i64)> = signing_keys::table
        .order((signing_keys::created.desc(), signing_keys::id.desc()))
        .select((signing_keys::id, signing_keys::public_key, signing_keys::state, signing_keys::created))
        .load(conn)
        .await?;
    let record = |(id, public_key, state, created): (i64, Vec<u8>, String, i64)| {
        Ok(PublicKeyRecord { id: key_number(id)?, public_key, state: key_state(&state)?, created: moment(created) })
    };
    rows.into_iter().map(record).collect()
}

/// Change what a key may be used for.
pub(crate) async fn set_key_state(conn: &mut Conn, id: u32, state: KeyState, by: &str, now: Timestamp) -> TxResult<()> {
    if state == KeyState::Active {
        retire_active(conn).await?;
    }
    let row = signing_keys::table.find(i64::from(id));
    let changed = diesel::update(row).set(signing_keys::state.eq(key_state_word(state))).execute(conn).await?;
    if changed == 0 {
        return Err(StorageError::Missing(format!("the key {id}")).into());
    }
    let action = match state {
        KeyState::Active => "key activate",
        KeyState::Retired => "key retire",
        KeyState::Revoked => "key revoke",
    };
    note(conn, key_deed(by, action, id, state), now).await
}
