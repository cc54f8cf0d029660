//! `token`: mint, list, attenuate, inspect, revoke.

use anyhow::{Context, Result, bail};
use pinrail_domain::{
    InspectedBlock, KeyState, MintRequest, Minter, NameRestriction, PublicKeyRecord, Restrictions, RevocationId, Scope,
    Scopes, TokenId, TokenRecord, attenuate, inspect, may_mint, mint,
};
use pinrail_spec::{Cid, Timestamp};
use pinrail_storage::Storage;
use serde::Serialize;

use super::{find_account, or_dash, print_json, print_table};
use crate::keys::KeyFolder;
use crate::settings::{MintArgs, NarrowArgs};
use crate::system::{now, random, read_secret};

/// A token as a script gets it.
#[derive(Serialize)]
struct Minted<'a> {
    id: TokenId,
    token: &'a str,
    account: &'a str,
    scopes: &'a Scopes,
    expires: Option<Timestamp>,
}

/// A token of a list, as a script gets it.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    record: TokenRecord,
    state: State,
}

/// Whether a token is accepted, and if not why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Valid,
    Expired,
    Revoked,
    /// It ended with the key that signed it.
    KeyRevoked,
}

impl State {
    fn of(record: &TokenRecord, keys: &[PublicKeyRecord], now: Timestamp) -> Self {
        let is_its_key = |key: &&PublicKeyRecord| key.id == record.key_id;
        let key_revoked = keys.iter().find(is_its_key).is_none_or(|key| key.state == KeyState::Revoked);
        match record.expires {
            _ if record.revoked.is_some() => Self::Revoked,
            _ if key_revoked => Self::KeyRevoked,
            Some(expires) if expires <= now => Self::Expired,
            _ => Self::Valid,
        }
    }

    fn describe(self, record: &TokenRecord) -> String {
        match (self, record.revoked, record.expires) {
            (Self::Revoked, Some(revoked), _) => format!("revoked {revoked}"),
            (Self::KeyRevoked, ..) => format!("ended: its key {} was revoked", record.key_id),
            (Self::Expired, _, Some(expires)) => format!("expired {expires}"),
            _ if !record.revoked_blocks.is_empty() => {
                format!("{}, {} narrowed from it revoked", ends(record.expires), record.revoked_blocks.len())
            }
            _ => ends(record.expires),
        }
    }
}

/// Mint a token and print it.
pub async fn mint_token(asked: MintArgs, storage: &dyn Storage, keys: &KeyFolder) -> Result<()> {
    let account = find_account(storage, &asked.account).await?;
    // The clock that expiry is judged by.
    let created = now();
    let scopes = if asked.scope.is_empty() { Scopes::pins() } else { asked.scope.into_iter().collect() };
    let request = MintRequest {
        service: storage.service_id().await?,
        account: account.id,
        token: TokenId::new(created, random()),
        name: asked.name,
        scopes,
        expires: asked.expires.from(created),
        created,
    };
    may_mint(Minter::Operator, account.role, &request.scopes, request.expires)?;
    let minted = mint(&request, &keys.active(storage).await?, random())?;
    storage.add_token(&minted.record).await?;
    let TokenRecord { id, scopes, expires, .. } = &minted.record;
    if asked.json {
        let token = minted.text.as_str();
        return print_json(&Minted { id: *id, token, account: &account.name, scopes, expires: *expires });
    }
    eprintln!("token {id} of {}, {scopes}, {}; it is shown this once:", account.name, ends(*expires));
    println!("{}", minted.text);
    Ok(())
}

/// List an account's tokens.
pub async fn list_tokens(account: &str, json: bool, storage: &dyn Storage) -> Result<()> {
    let account = find_account(storage, account).await?;
    let (keys, now) = (storage.list_keys().await?, storage.now().await?);
    let tokens = storage.list_tokens(&account.id).await?.into_iter();
    let listed = tokens.map(|record| Listed { state: State::of(&record, &keys, now), record }).collect::<Vec<_>>();
    if json {
        return print_json(&listed);
    }
    let row = |Listed { record, state }: &Listed| {
        [
            record.id.to_string(),
            record.name.clone(),
            record.scopes.to_string(),
            state.describe(record),
            or_dash(record.last_used.as_ref()),
            record.key_id.to_string(),
        ]
    };
    let rows = listed.iter().map(row).collect::<Vec<_>>();
    print_table(["ID", "NAME", "SCOPES", "STATE", "LAST USED", "KEY"], &rows, "no token yet");
    Ok(())
}

/// Narrow a token and print the narrower one.
pub fn narrow(asked: NarrowArgs) -> Result<()> {
    let cid = asked.cid.map(|cid| Cid::parse(&cid).with_context(|| format!("--cid {cid}"))).transpose()?;
    let (now, expires) = (now(), asked.expires);
    let expires = expires.and_then(|expires| expires.from(now));
    if let Some(past) = expires.filter(|expires| *expires <= now) {
        bail!("the token would end at {past}, which is past: it is {now} now");
    }
    let restrictions = Restrictions {
        operations: asked.read_only.then(|| Scopes::from_iter([Scope::PinsRead])),
        name: asked.name.map(NameRestriction::Exact).or(asked.name_prefix.map(NameRestriction::Prefix)),
        cid: cid.map(|cid| cid.root()),
        expires,
    };
    println!("{}", attenuate(&read_secret(&asked.token)?, &restrictions, random())?);
    Ok(())
}

/// Print what a token says of itself.
pub fn inspect_token(token: &str, json: bool) -> Result<()> {
    let inspection = inspect(&read_secret(token)?)?;
    if json {
        return print_json(&inspection);
    }
    println!("nothing of this is verified");
    println!("token     {}", or_dash(inspection.token.as_ref()));
    println!("account   {}", or_dash(inspection.account.as_ref()));
    println!("service   {}", or_dash(inspection.service.as_ref()));
    println!("key       {}", or_dash(inspection.key_id.as_ref()));
    println!("scopes    {}", inspection.scopes);
    println!("ends      {}", ends(inspection.expires));
    for (index, block) in inspection.blocks.iter().enumerate().skip(1) {
        println!("narrowed  block {index}, revocation id {}", block.revocation_id);
        for statement in &block.statements {
            println!("          {statement}");
        }
    }
    Ok(())
}

/// Revoke a token: all of it by its id, by its text from its last block on, or from `block` on.
pub async fn revoke(given: &str, block: Option<&str>, storage: &dyn Storage) -> Result<()> {
    let given = read_secret(given)?;
    let Named { token, first, last } = Named::read(&given)?;
    let Some(record) = storage.find_token(&token).await? else {
        bail!("there is no token {token}, `pinrail-api token list ACCOUNT` shows those there are")
    };
    if first.is_some_and(|first| first != record.revocation_id) {
        bail!("this is not the token {token} that was minted here, so nothing was revoked: it is forged");
    }
    let block = block.map(read_block).transpose()?.or(last).filter(|block| *block != record.revocation_id);
    match block {
        Some(block) => revoke_block(&record, &block, storage).await,
        None => revoke_whole(&token, storage).await,
    }
}

/// What an operator names a token by.
struct Named {
    token: TokenId,
    /// The revocation ids of its first and its last block, if its text was given.
    first: Option<RevocationId>,
    last: Option<RevocationId>,
}

impl Named {
    fn read(given: &str) -> Result<Self> {
        if let Ok(token) = given.parse::<TokenId>() {
            return Ok(Self { token, first: None, last: None });
        }
        let Ok(inspection) = inspect(given) else {
            // What is longer may be a token with a mistake in it, and is not to stand in a log.
            let shown = if given.len() > 40 { "this".to_owned() } else { format!("{given:?}") };
            bail!("{shown} is no token id, `token list` shows them")
        };
        let token = inspection.token.context("this is a token of something else than Pinrail")?;
        let id = |block: &InspectedBlock| block.revocation_id.clone();
        Ok(Self { token, first: inspection.blocks.first().map(id), last: inspection.blocks.last().map(id) })
    }
}

fn read_block(text: &str) -> Result<RevocationId> {
    let id = text.parse::<RevocationId>().ok().filter(|id| id.as_bytes().len() == 64);
    id.context("--block is no revocation id, wanted 128 hexadecimal digits as `token inspect` shows them")
}

async fn revoke_whole(token: &TokenId, storage: &dyn Storage) -> Result<()> {
    let was_valid = storage.revoke_token(token, storage.now().await?).await?;
    println!("token {token} {}", if was_valid { "is revoked" } else { "was revoked before" });
    Ok(())
}

async fn revoke_block(record: &TokenRecord, block: &RevocationId, storage: &dyn Storage) -> Result<()> {
    if record.revoked_blocks.len() >= TokenRecord::MAX_REVOKED_BLOCKS && !record.revoked_blocks.contains(block) {
        let (count, token) = (record.revoked_blocks.len(), record.id);
        bail!("{count} tokens narrowed from {token} are revoked already, revoke it itself: `token revoke {token}`");
    }
    let was_valid = storage.revoke_block(&record.id, block, storage.now().await?).await?;
    let done = if was_valid { "is revoked" } else { "was revoked before" };
    println!("what was narrowed from token {} {done}, the token itself stays as it is", record.id);
    Ok(())
}

fn ends(expires: Option<Timestamp>) -> String {
    expires.map_or_else(|| "never expires".to_owned(), |expires| format!("expires {expires}"))
}
